"""What a worker process tells its supervisor: a JSON line an event, on its standard output."""

import json
import logging
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any, TextIO

from blade_tune.parameter import Value
from blade_tune.training.loop import EpochRecord
from blade_tune.trial.callback import Callback, StudySummary

log = logging.getLogger("blade_tune")


class MessageWriter(Callback):
    """Passes on what it hears."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()  # warnings come from the heartbeat's thread too

    def baselines_measured(self, figures: Mapping[str, float], left_out: Mapping[str, str]) -> None:
        """One line."""
        self._write("baselines_measured", dict(figures), dict(left_out))

    def noted(self, text: str) -> None:
        """One line."""
        self._write("noted", text)

    def trial_started(self, number: int, values: Mapping[str, Value]) -> None:
        """One line."""
        self._write("trial_started", number, dict(values))

    def epoch_ended(self, number: int, record: EpochRecord) -> None:
        """One line."""
        self._write("epoch_ended", number, asdict(record))

    def trial_ended(self, number: int, outcome: str, value: float | None, summary: StudySummary | None) -> None:  # noqa: ARG002
        """One line; the supervisor looks up the summary itself."""
        self._write("trial_ended", number, outcome, value)

    def trial_lost(self, number: int) -> None:
        """One line."""
        self._write("trial_lost", number)

    def logged(self, level: int, text: str) -> None:
        """A warning that people shall see."""
        self._write("logged", level, text)

    def ended(self, code: int, why: str) -> None:
        """The worker's last word: its exit code and why it ends."""
        self._write("ended", code, why)

    def _write(self, event: str, *arguments: Any) -> None:
        with self._lock, suppress(BrokenPipeError):  # without a supervisor the worker ends soon, and not by this
            self._stream.write(json.dumps([event, *arguments]) + "\n")
            self._stream.flush()


class LogToEvents(logging.Handler):
    """Passes warnings on, which would stand in the way of a live display if each process wrote them."""

    def __init__(self, writer: MessageWriter) -> None:
        super().__init__(logging.WARNING)
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self._writer.logged(record.levelno, record.getMessage())


def dispatch(event: str, arguments: list[Any], callback: Callback) -> None:
    """Tell an callback what a line says, but for how the study stands."""
    if event == "logged":
        log.log(*arguments)
    elif event == "ended":
        pass  # for the supervisor itself
    elif event == "epoch_ended":
        callback.epoch_ended(arguments[0], EpochRecord(**arguments[1]))
    else:
        getattr(callback, event)(*arguments)
