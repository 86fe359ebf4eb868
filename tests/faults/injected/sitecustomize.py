"""Faults made on purpose in real processes: Python imports this first where its folder is on PYTHONPATH.

PYTHON_TEST_FAULTS is a JSON mapping:
  epoch_s      every epoch takes so many seconds longer
  kinds        what happens, to one training after another: see `happen`
  epoch        in which; 2 by default
  again        whether the last kind happens to all trainings after that
  max_retries  of a trial that makes no progress
  turns        a path: each kind that has had its turn leaves a file beside it
"""

import errno
import json
import os
import resource
import signal
import sys
import time
import types
from typing import Any

import nursery

FAULTS: dict[str, Any] = {}
ROOM_BYTES = 2**28  # for a trial that allocates until it dies, beside what its process has


def kind_due() -> str | None:
    """The fault whose turn it is now."""
    kinds = FAULTS.get("kinds", [])
    for turn, kind in enumerate(kinds):
        try:
            os.close(os.open(f"{FAULTS['turns']}.{turn}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        return kind
    return kinds[-1] if FAULTS.get("again") else None


def happen(kind: str, training: Any) -> None:
    """Break something."""
    import torch

    if kind == "hang":
        time.sleep(3600)
    elif kind == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "raise":
        raise ValueError("broken on purpose")
    elif kind == "nan":
        with torch.no_grad():
            next(training.model.parameters()).fill_(float("nan"))
    elif kind == "enospc":
        training._save = fill_disk
    elif kind == "allocate":
        pages = int(open("/proc/self/statm").read().split()[0])  # noqa: SIM115
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM_BYTES,) * 2)
        hoard = []
        while True:
            hoard.append(torch.ones(2**22))


def fill_disk(_: Any) -> None:
    """Fail as a write to a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def install() -> None:
    """Put the faults where they happen: in what trains, and in what gives trials up."""
    FAULTS.update(json.loads(os.environ.get("PYTHON_TEST_FAULTS", "{}")))
    if not FAULTS:
        return
    if "max_retries" in FAULTS:
        from blade_tune.storage import recovery

        recovery.MAX_RETRIES = FAULTS["max_retries"]
    if not any(word.startswith("blade_tune.fleet.") for word in sys.orig_argv):
        return  # a supervisor, which starts sooner without torch
    sys.modules.setdefault("torch._dynamo", without_compiler())
    from blade_tune.training.loop import Training

    train_epoch = Training.train_epoch

    def faulty_epoch(self: Training) -> dict[str, float]:
        if len(self.history) + 1 == FAULTS.get("epoch", 2) and (kind := kind_due()):
            happen(kind, self)
        losses = train_epoch(self)
        time.sleep(FAULTS.get("epoch_s", 0.0))
        return losses

    Training.train_epoch = faulty_epoch


def without_compiler() -> types.ModuleType:
    """What optimizers ask of torch's compiler: to load it takes each process over a second, and nothing compiles."""
    compiler = types.ModuleType("torch._dynamo")
    compiler.disable = lambda function, *_, **__: function
    compiler.graph_break = lambda: None
    return compiler


if os.environ.get(nursery.VARIABLE) and nursery.FORK_SERVER in sys.orig_argv:
    nursery.hand_over(os.environ[nursery.VARIABLE])
install()
