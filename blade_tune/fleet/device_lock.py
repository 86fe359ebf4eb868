"""Turns on a device that several workers share: together, or alone for a trial that ran out of memory beside others."""

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

POLL_S = 0.1


@contextmanager
def device_turn(claimant: Claimant, *, alone: bool, signals: StopSignals) -> Iterator[None]:
    """Train beside others, or once they have ended their trials and before they begin new ones.

    Two file locks, which end with their process: everybody passes the gate to enter the room, and who wants the room
    for himself keeps the gate shut meanwhile.

    Raises:
        InterruptedStudyError: a signal came while waiting.
    """
    if claimant.share >= 1.0:
        yield
        return
    name = f"{claimant.device}-{os.environ.get('CUDA_VISIBLE_DEVICES', 'all')}".replace("/", "_").replace(",", "_")
    folder = private_folder()
    with (folder / f"{name}.gate").open("a") as gate, (folder / f"{name}.room").open("a") as room:
        _lock(gate.fileno(), fcntl.LOCK_EX, signals)
        _lock(room.fileno(), fcntl.LOCK_EX if alone else fcntl.LOCK_SH, signals)
        if not alone:
            fcntl.flock(gate, fcntl.LOCK_UN)
        yield


def private_folder() -> Path:
    """A folder of this machine that only this user can write to, the same one for all of his processes.

    The temporary folder is everybody's: where somebody else has made one of this name there, or a link, it is not used.

    Raises:
        ConfigError: there is none.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    places = (Path(tempfile.gettempdir()) / f"blade-tune-{os.getuid()}", cache / "blade-tune" / os.uname().nodename)
    for place in places:
        with suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                place.mkdir(mode=0o700)
            found = place.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
                return place
    raise ConfigError(
        f"workers that share a device need a folder of their own, and neither {places[0]} nor {places[1]} can be one; "
        "point TMPDIR to a folder that you can write to."
    )


def _lock(file: int, kind: int, signals: StopSignals) -> None:
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if signals:
                raise signals.error() from None
            time.sleep(POLL_S)
        else:
            return
