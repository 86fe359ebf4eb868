"""Shared and exclusive use of a device by several workers: a shared/exclusive file lock with a turnstile.

Trials train on a shared device together, under a shared lock. A trial that ran out of memory next to others is repeated
alone, under an exclusive lock. A plain shared/exclusive lock would starve the exclusive waiter, since shared holders
come and go and hardly ever leave the lock free. A second lock, the turnstile, prevents this: every worker must pass it
before it asks for the device, and an exclusive worker keeps it locked until its trial has ended. So no new trial begins
once an exclusive worker has come to wait, and the trials under way drain.
"""

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from blade_tune.errors import ConfigError
from blade_tune.storage.attempts import Claimant
from blade_tune.trial.signals import StopSignals

POLL_S = 0.1  # seconds between two tries to get a lock


@contextmanager
def device_turn(claimant: Claimant, *, alone: bool, signals: StopSignals) -> Iterator[None]:
    """Hold a shared device for the block, together with other workers or exclusively.

    An exclusive caller waits until the trials that run on the device have ended, and keeps new ones from starting. The
    locks are files locked by `flock` (the turnstile is `NAME.gate`, the device `NAME.room`), so the operating system
    releases them when a process dies. A claimant that has a whole device takes no lock.

    Args:
        claimant: the worker; its device and its share of it.
        alone: whether to hold the device exclusively.
        signals: checked while waiting.

    Raises:
        InterruptedStudyError: a signal was received while waiting.
    """
    if claimant.share >= 1.0:
        yield
        return
    # The name of the device, equal in all workers that share it: each sees one GPU, the one in CUDA_VISIBLE_DEVICES.
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "all")
    name = f"{claimant.device}-{visible}".replace("/", "_").replace(",", "_")
    folder = private_folder()
    with (folder / f"{name}.gate").open("a") as gate, (folder / f"{name}.room").open("a") as room:
        # First the turnstile, then the device
        _lock(gate.fileno(), fcntl.LOCK_EX, signals)
        _lock(room.fileno(), fcntl.LOCK_EX if alone else fcntl.LOCK_SH, signals)
        # The next worker may pass now; an exclusive one keeps the turnstile locked until its trial has ended.
        if not alone:
            fcntl.flock(gate, fcntl.LOCK_UN)
        yield


def private_folder() -> Path:
    """Return a folder on this machine that only the current user can write to, the same in all of the user's processes.

    It is created on the first call, in the temporary folder or else in the user's cache folder. All users can write to
    the temporary folder, so an entry of this name there that is a link, or that another user owns, is not used.

    Raises:
        ConfigError: neither can hold such a folder.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    folders = (
        Path(tempfile.gettempdir()) / f"blade-tune-{os.getuid()}",
        cache / "blade-tune" / os.uname().nodename,
    )
    for folder in folders:
        with suppress(OSError):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            if _is_private(folder):
                return folder
    raise ConfigError(
        f"workers that share a device need a folder of their own, and neither {folders[0]} nor {folders[1]} can be "
        "one; point TMPDIR to a folder that you can write to."
    )


def _is_private(path: Path) -> bool:
    """Return whether a path is a folder, and no link to one, that the current user owns and no other can write to."""
    status = path.lstat()  # not `stat`, which would follow a link of another user
    is_own = status.st_uid == os.getuid()
    others_can_write = bool(status.st_mode & 0o022)
    return stat.S_ISDIR(status.st_mode) and is_own and not others_can_write


def _lock(file: int, kind: int, signals: StopSignals) -> None:
    """Wait for a lock on a file descriptor, by polling, since a blocking `flock` would go on waiting after a signal."""
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if signals:
                raise signals.error() from None
            time.sleep(POLL_S)
        else:
            return
