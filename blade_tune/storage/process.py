"""Names of processes by which another process can tell whether the owner of a trial has ended, and who started it.

A process id alone does not do: the system uses it again, and two hosts or containers may have the same one. An `Owner`
therefore has a host and a start time too.
"""

import getpass
import os
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import psutil

# Two readings of one process's start differ by less, two processes of one id by more.
START_TOLERANCE_S = 1.0
MAX_USER = 64  # characters of a user's name, for the database's column holds 255 in all


@dataclass(frozen=True)
class Owner:
    """A process, named by its host, its process id and its start time."""

    host: str  # from `this_host`
    pid: int
    started: float  # seconds from the start of the host to that of the process
    user: str = field(default="", compare=False)  # who started it, for people; empty where unknown

    @classmethod
    def here(cls) -> "Owner":
        """Return the name of this process."""
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> "Owner":
        """Return the name of a living process of this host."""
        return cls(this_host(), pid, _started(psutil.Process(pid)), this_user())

    @classmethod
    def parse(cls, text: str) -> "Owner":
        """Read an owner from the text that `str` makes of one."""
        place, pid, started = text.rsplit("|", 2)
        user, _, host = place.rpartition("@")  # earlier versions stored no user
        return cls(host, int(pid), float(started), user)

    def __str__(self) -> str:
        place = f"{self.user}@{self.host}" if self.user else self.host
        return f"{place}|{self.pid}|{self.started:.2f}"

    @property
    def who(self) -> str:
        """The user and the host for people, "user@host"; the host alone where the user is unknown."""
        host = self.host.partition("/")[0]
        return f"{self.user}@{host}" if self.user else host

    def is_gone(self) -> bool:
        """Whether the process has certainly ended; always false for a process of another host."""
        if self.host != this_host():
            return False
        try:
            process = psutil.Process(self.pid)
            is_same = abs(_started(process) - self.started) < START_TOLERANCE_S
            # A zombie has ended; only its parent has not collected its exit status yet.
            return not is_same or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:  # a process of another user, of which nothing is certain
            return False


def _started(process: psutil.Process) -> float:
    """Return the seconds from the start of the host to that of a process.

    Both times move together when the host's clock is set, so their difference stays.
    """
    return process.create_time() - psutil.boot_time()


@lru_cache(maxsize=1)
def this_user() -> str:
    """Return the name of the user who started this process; empty where the system knows none."""
    try:
        return getpass.getuser()[:MAX_USER]
    except (KeyError, OSError, ImportError):  # such as in a container that runs under a bare number
        return ""


@lru_cache(maxsize=1)
def this_host() -> str:
    """Return a name for the space of process ids that this process can look up.

    The name has the host's name, the start of its machine id, and the number of the process namespace, so that two
    containers on one host count as two hosts.
    """
    parts = [socket.gethostname()]
    with suppress(OSError):
        machine_id = Path("/etc/machine-id").read_text(encoding="utf-8").strip()
        parts.append(machine_id[:8])
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return "/".join(parts)
