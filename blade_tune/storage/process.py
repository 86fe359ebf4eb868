"""Who runs a trial: a process, named so that it can be recognized, and known to be gone, from another one."""

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil

START_TOLERANCE_S = 1.0


@dataclass(frozen=True)
class Owner:
    """A process of some host."""

    host: str
    pid: int
    started: float  # seconds since the host was: a process id is used again, an id with its start is not

    @classmethod
    def here(cls) -> "Owner":
        """This process."""
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> "Owner":
        """A living process of this host."""
        return cls(this_host(), pid, _started(psutil.Process(pid)))

    @classmethod
    def parse(cls, text: str) -> "Owner":
        """What `str` gave."""
        host, pid, started = text.rsplit("|", 2)
        return cls(host, int(pid), float(started))

    def __str__(self) -> str:
        return f"{self.host}|{self.pid}|{self.started:.2f}"

    def is_gone(self) -> bool:
        """Whether the process certainly ended: it ran on this host, and is not there any more."""
        if self.host != this_host():
            return False
        try:
            process = psutil.Process(self.pid)
            same = abs(_started(process) - self.started) < START_TOLERANCE_S
            return not same or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:  # somebody else's process
            return False


def _started(process: psutil.Process) -> float:
    """When it started, by the time since the host did: both figures move when the host's clock is set."""
    return process.create_time() - psutil.boot_time()


@lru_cache(maxsize=1)
def this_host() -> str:
    """A name that only processes share whose ids this one can look up: two containers of one host are two hosts."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/etc/machine-id").read_text(encoding="utf-8").strip()[:8])
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return "/".join(parts)
