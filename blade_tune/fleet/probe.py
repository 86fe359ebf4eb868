"""How many workers a device is worth: the study's own training, in real processes at once, for a few seconds."""

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
from blade_tune.fleet.devices import Place, shared
from blade_tune.fleet.probe_child import Answer, ProbeTask
from blade_tune.storage.trials import num_scored
from blade_tune.study.stored import StoredStudy
from blade_tune.trial.callback import Callback
from blade_tune.trial.signals import StopSignals

log = logging.getLogger(__name__)

MODULE = "blade_tune.fleet.probe_child"
ROUND_S = 3.0
START_S = 300.0  # at most, until all processes of a round have trained a step
TICK_S = 0.2
GAIN = 1.15  # of steps per second; for less, twice the processes are not worth it
MARGIN = 1.25  # other trials, and memory in pieces that nothing fits into
GIB = 2**30


@dataclass(frozen=True)
class Measured:
    """What so many workers gave at once."""

    workers: int
    steps_per_s: float  # of all together
    needs: tuple[int, ...]  # bytes that the largest of them takes: of the machine's memory and, on a GPU, of the GPU's
    free: tuple[int, ...]  # bytes that they all leave there

    def has_room_for(self, more: int) -> bool:
        """Whether so many workers more fit beside them."""
        return all(more * MARGIN * need <= free for need, free in zip(self.needs, self.free, strict=True))

    def __str__(self) -> str:
        each, left = (",".join(f"{size / GIB:.1f}" for size in sizes) for sizes in (self.needs, self.free))
        return f"workers={self.workers} steps_per_s={self.steps_per_s:.1f} gib_each={each} gib_left={left}"


def most_useful(measure: Callable[[int], Measured], limit: int) -> Measured:
    """Twice as many workers for as long as they fit and are worth it, but never more than `limit`.

    Raises:
        WorkerError: not even one works; of more, those that failed are too many.
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
    """To `Space.suggest` a trial, with the largest number of each range or choice, and the first of other choices."""

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float:  # noqa: ARG002
        """The upper end."""
        return high

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:  # noqa: ARG002
        """The upper end."""
        return high

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:  # noqa: ARG002
        """The largest or first one."""
        return choices[0] if any(isinstance(choice, str) for choice in choices) else max(choices)


def fill(
    places: list[Place], stored: StoredStudy, data: Path | None, callback: Callback, signals: StopSignals
) -> list[Place]:
    """As many workers in each place as turn out useful in the first; one where that cannot be found out.

    A worker has a CPU thread or more, and a trial to do. Other devices are taken to be like the first.

    Args:
        places: one a device.
        stored: the study.
        data: its folder here, if not the one that it remembers.
        callback: hears what is going on.
        signals: end it.

    Raises:
        InterruptedStudyError: a signal came.
    """
    if stored.definition.is_fitted:  # on the CPU, in seconds, with all of its threads
        return places
    left = stored.budget - num_scored(stored.trials)
    limit = min(places[0].threads, math.ceil(left / len(places)))
    if limit < 2:
        return places
    definition = stored.definition
    task = ProbeTask(
        name=definition.name,
        definition=definition.to_mapping(),
        values=definition.space.suggest(Largest()),
        data=stored.data_directory(data),
        results=stored.folder.results,
        device=places[0].device,
        round_s=ROUND_S,
    )
    try:
        with Probe(task, places[0], callback, signals) as probe:
            best = most_useful(probe.measure, limit)
    except (WorkerError, OSError) as error:
        log.warning("per_gpu=1, for a probe of the device failed: %s", error)
        return places
    log.info("probe study=%s %s", definition.name, best)
    callback.noted(f"probe per_gpu={best.workers}")
    return shared(places, best.workers)


class Probe:
    """Processes that train in one place, round by round; they end with the block."""

    def __init__(self, task: ProbeTask, place: Place, callback: Callback, signals: StopSignals) -> None:
        self._task = task
        self._place = place
        self._observer = callback
        self._signals = signals
        self._processes: list[subprocess.Popen[str]] = []
        self._listeners: list[threading.Thread] = []
        self._answers: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()  # None from one that has ended
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - of all of them, closed after the last

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
        for process, listener in zip(self._processes, self._listeners, strict=True):
            process.wait()
            listener.join()
            assert process.stdin  # noqa: S101 - for mypy
            with suppress(BrokenPipeError):  # what was not sent any more
                process.stdin.close()
        self._stderr.close()

    def measure(self, workers: int) -> Measured:
        """Let so many processes train for a few seconds; those of the rounds before are among them.

        Raises:
            WorkerError: one of them ended or does not answer.
            InterruptedStudyError: a signal came.
        """
        new = workers - len(self._processes)
        for _ in range(new):
            self._start()
        self._gather(new)  # that they are ready
        for process in self._processes:
            self._tell(process, str(max(1, self._place.threads // workers)))
        answers = self._gather(workers)
        measured = Measured(
            workers,
            sum(answer.steps_per_s for answer in answers),
            tuple(map(max, zip(*(answer.needs for answer in answers), strict=True))),
            tuple(map(min, zip(*(answer.free for answer in answers), strict=True))),
        )
        self._observer.noted(f"probe {measured}")
        return measured

    def _start(self) -> None:
        env = {**os.environ, "OMP_NUM_THREADS": str(self._place.threads)}
        env.pop("BLADE_TUNE_STORAGE", None)  # may hold a password; nothing here is stored
        env["CUDA_VISIBLE_DEVICES"] = self._place.visible
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            env=env,
            start_new_session=True,  # a Ctrl-C in the terminal is the run's to tell
        )
        self._processes.append(process)
        self._listeners.append(threading.Thread(target=self._listen, args=(process,), daemon=True))
        self._listeners[-1].start()
        self._tell(process, self._task.model_dump_json())

    def _tell(self, process: "subprocess.Popen[str]", line: str) -> None:
        assert process.stdin  # noqa: S101 - for mypy
        with suppress(BrokenPipeError):  # it has ended, which `_gather` hears of
            process.stdin.write(line + "\n")
            process.stdin.flush()

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout  # noqa: S101 - for mypy
        with process.stdout as lines:
            for line in lines:
                self._answers.put(Answer.model_validate_json(line))
        self._answers.put(None)

    def _gather(self, count: int) -> list[Answer]:
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
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "it ended without a word")
