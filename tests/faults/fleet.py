"""A study in a folder of its own, the processes that run it, and what they leave behind."""

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
from optuna.trial import FrozenTrial, TrialState

from blade_tune.fleet import worker_main
from blade_tune.storage.connect import resolve_url
from blade_tune.storage.folder import StudyFolder
from blade_tune.storage.trials import is_continued, num_scored, root_number
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace
from tests.cli.program import start, write_study

TIMEOUT_S = 120.0  # on a machine that has much else to do


class Fleet:
    """Starts `blade-tune run` and knows every process that comes of it, also without its supervisor.

    Args:
        folder: where it runs; has the study file, the results and temporary files.
        storage: the database's URL; None for the SQLite file that a run takes by itself.
        env: more variables of its processes.
    """

    def __init__(
        self, folder: Path, storage: str | None = None, env: Mapping[str, str] = {}
    ) -> None:
        self.folder = folder
        self.results = folder / "results"
        self.url = resolve_url(storage, self.results)
        self._storage = {} if storage is None else {"BLADE_TUNE_STORAGE": storage}
        self._env = dict(env)
        self._started: list[subprocess.Popen[str]] = []

    def define(self, trials: int, epochs: int = 4, **changes: Any) -> None:
        """Write the study file: so many trials, each of which reports after every epoch and is never pruned."""
        search = {"trials": trials, "pruner": {"kind": "none"}}
        train = {"max_epochs": epochs, "eval_every": 1, "patience": epochs}
        write_study(
            self.folder / "studies" / "tiny.yaml", **{"search": search, "train": train, **changes}
        )

    def start(self, *words: str, command: str = "run", **faults: Any) -> subprocess.Popen[str]:
        """Start a run, or a `worker`; what it writes is in `said`; faults are those of injected/sitecustomize.py."""
        (self.folder / "tmp").mkdir(exist_ok=True)
        env = {
            "PYTHON_TEST_FAULTS": json.dumps(
                {"turns": str(self.folder / "tmp" / "turn"), **faults}
            ),
            "TZ": "America/New_York",  # behind the database's clock
            "TMPDIR": str(self.folder / "tmp"),  # where turns on the device are taken
            **self._storage,
            **self._env,
        }
        with self._said(len(self._started)).open("w") as said:
            place = {"cwd": self.folder, "env": env, "stdout": said, "stderr": said}
            process = start(command, "--study", "tiny", *words, **place)
        self._started.append(process)
        return process

    def run(self, *words: str, **faults: Any) -> int:
        """The same to its end; gives the exit code."""
        return self.start(*words, **faults).wait(TIMEOUT_S)

    @property
    def said(self) -> str:
        """What the run that was started last has written so far."""
        return self._said(len(self._started) - 1).read_text()

    def _said(self, number: int) -> Path:
        return self.folder / f"said.{number}"

    def processes(self) -> list[psutil.Process]:
        """Every process of the fleet that is alive."""
        return [
            process
            for process in psutil.process_iter()
            if is_alive(process) and self._owns(process)
        ]

    def workers(self) -> list[psutil.Process]:
        """The worker processes among them, the oldest first."""
        found = [process for process in self.processes() if name(process) == worker_main.NAME]
        return sorted(found, key=lambda process: process.create_time())

    def _owns(self, process: psutil.Process) -> bool:
        try:
            return process.cwd() == str(self.folder)  # which all inherit
        except psutil.Error:
            return False

    def close(self) -> None:
        """End them all."""
        while processes := self.processes():
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(processes, timeout=10)
        for process in self._started:
            process.wait()

    @property
    def stored(self) -> StoredStudy:
        """The study as it is in the database now."""
        return Workspace(self.url, self.results).study("tiny")

    @property
    def rows(self) -> list[tuple[str, str]]:
        """State and reason of every stored row."""
        return [
            (trial.state.name, trial.user_attrs.get("reason", "")) for trial in self.stored.trials
        ]

    def num_epochs(self, root: int = 0) -> int:
        """How many epochs of a trial are done."""
        metrics = StudyFolder(self.results, "tiny").trial(root).metrics
        return len(metrics.read_text().splitlines()) if metrics.exists() else 0

    def require_whole(self, total: int, epochs: int = 4) -> list[FrozenTrial]:
        """Make sure that exactly so many trials are scored, none is cut or left over, and nobody holds a slot.

        Returns:
            The rows.
        """
        stored = self.stored
        trials = stored.trials
        assert num_scored(trials) == total
        assert stored.attempts.open_attempts() == []
        for trial in trials:
            if trial.state == TrialState.COMPLETE:
                assert sorted(trial.intermediate_values) == list(range(1, epochs + 1)), trial.number
            else:
                assert is_continued(trial), (trial.number, trial.state, trial.user_attrs)
        roots = [root_number(trial) for trial in trials if trial.params]
        assert len(set(roots)) == total
        return trials


def is_alive(process: psutil.Process) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def name(process: psutil.Process) -> str:
    """What the system calls a process; empty if it has ended."""
    try:
        return process.name()
    except psutil.Error:
        return ""


def cmdline(process: psutil.Process) -> list[str]:
    """What a process was started as; empty where it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def until(condition: Callable[[], Any], timeout_s: float = TIMEOUT_S) -> Any:
    """Wait until something holds, and give it."""
    end = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.05)
    return found
