"""Measurement of how many workers to put on one device, for `per_gpu: auto`.

The study's own training is run for a few seconds in 1, 2, 4, ... real processes at once on the first device. The number
is doubled for as long as the memory suffices and all processes together make clearly more steps per second.
"""

import logging
import math
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from blade_tune.errors import WorkerError
from blade_tune.fleet.devices import Placement, shared
from blade_tune.fleet.probe_task import Answer, ProbeTask
from blade_tune.storage.trials import num_scored
from blade_tune.study.stored import StoredStudy
from blade_tune.trial.callback import Callback
from blade_tune.trial.signals import StopSignals

log = logging.getLogger(__name__)

MODULE = "blade_tune.fleet.probe_child"
ROUND_S = 3.0
# The longest wait for the answers of all processes, which at first includes starting them.
START_S = 300.0
TICK_S = 0.2  # seconds between two looks for a signal
GAIN = 1.15  # factor in steps per second below which twice the processes are not worth it
MARGIN = 1.25  # factor on the memory measured, for larger configurations and for fragmentation
GIB = 2**30


@dataclass(frozen=True)
class Measured:
    """Throughput and memory measured with a number of workers on one device at once."""

    workers: int
    steps_per_s: float  # of all workers together
    # Bytes that the largest worker takes, of the machine's memory and, on a GPU, of the GPU's.
    needs: tuple[int, ...]
    free: tuple[int, ...]  # bytes of each memory that the workers leave free

    def has_room_for(self, more: int) -> bool:
        """Return whether the free memory suffices for so many additional workers."""
        memories = zip(self.needs, self.free, strict=True)
        return all(more * MARGIN * need <= free for need, free in memories)

    def __str__(self) -> str:
        needs = ",".join(f"{size / GIB:.1f}" for size in self.needs)
        free = ",".join(f"{size / GIB:.1f}" for size in self.free)
        return f"workers={self.workers} steps_per_s={self.steps_per_s:.1f} gib_each={needs} gib_left={free}"


def most_useful(measure: Callable[[int], Measured], limit: int) -> Measured:
    """Return the measurement of the best number of workers, a power of two of at most `limit`.

    Args:
        measure: runs the given number of workers and returns what was measured.
        limit: the largest number of workers to try.

    Raises:
        WorkerError: a single worker failed. A failure of more workers only ends the doubling.
    """
    best = measure(1)
    while 2 * best.workers <= limit and best.has_room_for(best.workers):
        try:
            more = measure(2 * best.workers)
        except WorkerError as error:
            log.warning("per_gpu=%d is too many: %s", 2 * best.workers, error)
            break
        if more.steps_per_s <= GAIN * best.steps_per_s:
            break
        best = more
    return best


class Largest:
    """A stand-in for an Optuna trial from which `Space.suggest` gets the largest, so most expensive, configuration.

    Every range and numeric choice has its largest value, a choice among texts its first.
    """

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float:
        """Return the upper end of a range."""
        return high

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        """Return the upper end of a range."""
        return high

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        """Return the largest of numeric choices, the first of others."""
        has_text = any(isinstance(choice, str) for choice in choices)
        return choices[0] if has_text else max(choices)


def fill(
    placements: list[Placement],
    stored: StoredStudy,
    data: Path | None,
    callback: Callback,
    signals: StopSignals,
) -> list[Placement]:
    """Divide each device among as many workers as the probe finds useful on the first device.

    All devices are assumed to be alike. There are never more workers than CPU threads, or than trials left to do.

    Args:
        placements: one placement per device.
        stored: the study.
        data: folder of the study's data on this machine; None for the folder that the study remembers.
        callback: receives a line of text for each measurement.
        signals: checked while waiting.

    Returns:
        One placement per worker; unchanged where the probe failed, which is logged, or has nothing to decide.

    Raises:
        InterruptedStudyError: a signal was received.
    """
    if stored.definition.is_fitted:  # a fit takes seconds and all CPU threads
        return placements
    trials_left = stored.budget - num_scored(stored.trials)
    limit = min(placements[0].threads, math.ceil(trials_left / len(placements)))
    if limit < 2:
        return placements
    definition = stored.definition
    task = ProbeTask(
        name=definition.name,
        definition=definition.to_mapping(),
        values=definition.space.suggest(Largest()),
        data=stored.data_directory(data),
        results=stored.folder.results,
        device=placements[0].device,
        round_s=ROUND_S,
    )
    try:
        with Probe(task, placements[0], callback, signals) as probe:
            best = most_useful(probe.measure, limit)
    except (WorkerError, OSError) as error:
        log.warning("per_gpu=1, for a probe of the device failed: %s", error)
        return placements
    log.info("probe study=%s %s", definition.name, best)
    callback.noted(f"probe per_gpu={best.workers}")
    return shared(placements, best.workers)


class Probe:
    """Child processes that train on one device in rounds; a context manager that kills them at its end.

    The processes stay between rounds, so that a round with twice as many starts only the new half.

    Args:
        task: what every process trains.
        placement: the device.
        callback: receives a line of text for each measurement.
        signals: checked while waiting.
    """

    def __init__(
        self, task: ProbeTask, placement: Placement, callback: Callback, signals: StopSignals
    ) -> None:
        self._task = task
        self._placement = placement
        self._callback = callback
        self._signals = signals
        self._processes: list[subprocess.Popen[str]] = []
        self._listeners: list[threading.Thread] = []
        # Answers of all processes; None from one that has ended.
        self._answers: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - shared by the processes and closed in __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
        for process, listener in zip(self._processes, self._listeners, strict=True):
            process.wait()
            listener.join()
            assert process.stdin  # noqa: S101 - for mypy
            with suppress(BrokenPipeError):  # closing flushes what the process did not live to read
                process.stdin.close()
        self._stderr.close()

    def measure(self, workers: int) -> Measured:
        """Train in so many processes at once for `ROUND_S` seconds, and return what was measured.

        Args:
            workers: number of processes, at least that of the round before.

        Raises:
            WorkerError: a process ended, or did not answer within `START_S` seconds.
            InterruptedStudyError: a signal was received.
        """
        new = workers - len(self._processes)
        for _ in range(new):
            self._start()
        # Every new process says once that it is ready, so that all start the round together.
        self._gather(new)
        threads = max(1, self._placement.threads // workers)
        for process in self._processes:
            self._send(process, str(threads))
        answers = self._gather(workers)
        # Of each memory, the need of the largest process, and the least that any of them saw free
        needs = zip(*(answer.needs for answer in answers), strict=True)
        free = zip(*(answer.free for answer in answers), strict=True)
        measured = Measured(
            workers,
            steps_per_s=sum(answer.steps_per_s for answer in answers),
            needs=tuple(map(max, needs)),
            free=tuple(map(min, free)),
        )
        self._callback.noted(f"probe {measured}")
        return measured

    def _start(self) -> None:
        """Start one more process, with a thread that collects its answers, and send it the task."""
        env = {**os.environ, "OMP_NUM_THREADS": str(self._placement.threads)}
        env.pop("BLADE_TUNE_STORAGE", None)  # may hold a password; nothing here is stored
        env["CUDA_VISIBLE_DEVICES"] = self._placement.visible
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            env=env,
            start_new_session=True,  # a Ctrl-C in the terminal must reach the parent process only
        )
        self._processes.append(process)
        listener = threading.Thread(target=self._listen, args=(process,), daemon=True)
        self._listeners.append(listener)
        listener.start()
        self._send(process, self._task.model_dump_json())

    def _send(self, process: "subprocess.Popen[str]", line: str) -> None:
        assert process.stdin  # noqa: S101 - for mypy
        with suppress(BrokenPipeError):  # the process has ended, which `_gather` notices
            process.stdin.write(line + "\n")
            process.stdin.flush()

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout  # noqa: S101 - for mypy
        with process.stdout as lines:
            for line in lines:
                self._answers.put(Answer.model_validate_json(line))
        self._answers.put(None)

    def _gather(self, count: int) -> list[Answer]:
        """Wait for the next `count` answers, of whichever processes."""
        answers: list[Answer] = []
        deadline = time.monotonic() + START_S
        while len(answers) < count:
            if self._signals:
                raise self._signals.error()
            if time.monotonic() > deadline:
                raise WorkerError(f"no answer within {START_S:.0f} s.")
            with suppress(queue.Empty):
                answer = self._answers.get(timeout=TICK_S)
                if answer is None:
                    raise WorkerError(self._last_line())
                answers.append(answer)
        return answers

    def _last_line(self) -> str:
        """Return the last line that any of the processes wrote to its standard error."""
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").split("\n")
        written = [line for line in lines if line.strip()]
        return written[-1] if written else "it ended without a word"
