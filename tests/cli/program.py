"""The program as tests start it, and a study so small that it runs in a second."""

import atexit
import functools
import io
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from blade_tune.cli.main import main
from blade_tune.config import write_yaml

PROGRAM = str(Path(sysconfig.get_path("scripts")) / "blade-tune")
PREFIX = "BLADE_TUNE_"  # of variables that would change what a test runs

TINY: dict[str, Any] = {
    "model": "blade",
    "recipe": "published",
    "space": {
        "model": {
            "embedding_size": 8,
            "max_length": 8,
            "num_blocks": 1,
            "num_heads": 1,
            "num_experts": 2,
            "alpha": {"float": [0.0, 1.0], "step": 0.1},
            "augmentation": {"choice": ["add", "mask"]},
            "mask_exponent": {"choice": [0.5, 1.0], "when": {"augmentation": ["mask"]}},
        },
        "train": {"batch_size": 32, "learning_rate": {"float": [1e-3, 1e-2], "log": True}},
    },
    "data": {
        "source": "synthetic",
        "name": "tiny",
        "behaviors": ["click", "like", "share", "follow"],
        "auxiliary": "click",
        "num_users": 40,
        "num_items": 40,
        "num_clusters": 10,
        "max_length": 12,
    },
    "train": {"max_epochs": 2, "eval_every": 1},
    "search": {"trials": 3},
}


INJECTED = Path(__file__).parents[1] / "faults" / "injected"
# The environment in which a started program's fork server imports by itself; see tests/faults/injected/nursery.py
OWN_IMPORTS = {"PYTHON_TEST_NURSERY": ""}


def with_faults(**faults: Any) -> dict[str, str]:
    """The environment in which worker processes have faults made on purpose; see tests/faults/injected."""
    return {"PYTHONPATH": str(INJECTED), "PYTHON_TEST_FAULTS": json.dumps(faults)}


@functools.cache
def nursery() -> str:
    """The socket of a nursery of fork servers that this process has started, and with which it ends."""
    path = str(Path(tempfile.mkdtemp(prefix="nursery-")) / "socket")
    process = subprocess.Popen(
        [sys.executable, INJECTED / "nursery.py", path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"

    def close() -> None:
        process.kill()
        process.communicate()
        shutil.rmtree(Path(path).parent)

    atexit.register(close)
    return path


def write_study(path: Path, **changes: Any) -> Path:
    """Write TINY as a study file, some of its sections changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(write_yaml({**TINY, **changes}), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str


# Commands that start workers
TRAINING = {"ablate", "auto", "compare", "confirm", "run", "sweep", "worker"}


def call(*words: str, cwd: Path, env: Mapping[str, str] = {}) -> Ended:
    """Run the program's `main` in this process, which spares the seconds that importing torch takes.

    Its workers come from the nursery, for the same reason.
    """
    logger = logging.getLogger("blade_tune")
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["blade-tune", *words])
        patch.setattr(logger, "handlers", [])
        for name in [name for name in os.environ if name.startswith(PREFIX)]:
            patch.delenv(name)
        patch.setenv("XDG_CONFIG_HOME", str(cwd / "no-config"))
        # So one worker, whose proposals are the same each time
        patch.setenv("OMP_NUM_THREADS", "1")
        if TRAINING.intersection(words[:1]):
            patch.setenv("PYTHONPATH", str(INJECTED))
            patch.setenv("PYTHON_TEST_NURSERY", nursery())
        for name, value in env.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as end:
            main()
    return Ended(int(end.value.code or 0), out.getvalue(), err.getvalue())


def do(folder: Path, words: str) -> Ended:
    """Run a command that ends well."""
    ended = call(*words.split(), cwd=folder)
    assert ended.code == 0, ended.err
    return ended


def environment(cwd: Path, env: Mapping[str, str] = {}) -> dict[str, str]:
    """The environment of a started program, with some variables more."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    fixed = {
        "XDG_CONFIG_HOME": str(cwd / "no-config"),
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(INJECTED),
    }
    if "PYTHON_TEST_NURSERY" not in env:
        fixed["PYTHON_TEST_NURSERY"] = nursery()
    return {**inherited, **fixed, "TERM": "xterm", "COLUMNS": "120", **env}


def start(
    *words: str, cwd: Path, env: Mapping[str, str] = {}, **streams: Any
) -> subprocess.Popen[str]:
    """Start the installed program as a process of its own; streams are pipes of text unless given."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    # A background job hands down deafness to Ctrl-C
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [PROGRAM, *words], cwd=cwd, env=environment(cwd, env), text=True, **pipes
        )
    finally:
        signal.signal(signal.SIGINT, before)


def finish(process: subprocess.Popen[str], timeout_s: float = 60.0) -> Ended:
    """Wait for a started program; it is killed where it does not end."""
    with process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        finally:
            process.kill()
    return Ended(process.returncode, out or "", err or "")


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """What stderr says up to the first line with the words, or all of it."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if words in line:
            break
    return "".join(lines)
