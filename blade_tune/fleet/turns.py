"""Turns on a device that several workers share: together, or alone for a trial that ran out of memory beside others."""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blade_tune.study.budget import Claimant
from blade_tune.study.signals import StopSignals

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
    name = f"blade-tune-{os.getuid()}-{claimant.device}-{os.environ.get('CUDA_VISIBLE_DEVICES', 'all')}"
    path = Path(tempfile.gettempdir()) / name.replace("/", "_").replace(",", "_")
    with path.with_suffix(".gate").open("a") as gate, path.with_suffix(".room").open("a") as room:
        _lock(gate.fileno(), fcntl.LOCK_EX, signals)
        _lock(room.fileno(), fcntl.LOCK_EX if alone else fcntl.LOCK_SH, signals)
        if not alone:
            fcntl.flock(gate, fcntl.LOCK_UN)
        yield


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
