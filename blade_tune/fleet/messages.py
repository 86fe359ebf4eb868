"""The protocol by which a worker process reports events to its supervisor: one JSON list per line of standard output.

Each line is `[event, argument, ...]`, where `event` is the name of a method of `Callback`, or "logged" or "ended".
`MessageWriter` writes the lines in the worker, `dispatch` replays them to a callback in the supervisor. The end of a
trial is written without the summary of the study, which `dispatch` adds.
"""

import json
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any, TextIO

from blade_tune.parameter import Value
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.trial.callback import Callback, StudySummary

log = logging.getLogger("blade_tune")


class MessageWriter(Callback):
    """A callback that writes each event as a line to a stream; it may be used from several threads.

    Args:
        stream: text stream to the supervisor, flushed after every line.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # The heartbeat's thread logs warnings through this writer too.
        self._lock = threading.Lock()

    def baselines_measured(self, figures: Mapping[str, float], left_out: Mapping[str, str]) -> None:
        """Write the event of the baselines' validation figures."""
        self._write("baselines_measured", dict(figures), dict(left_out))

    def noted(self, text: str) -> None:
        """Write the event of a line of text."""
        self._write("noted", text)

    def trial_started(self, number: int, values: Mapping[str, Value]) -> None:
        """Write the event of a trial's start."""
        self._write("trial_started", number, dict(values))

    def epoch_ended(self, number: int, record: EpochRecord) -> None:
        """Write the event of an epoch's end, with the record's fields as a mapping."""
        self._write("epoch_ended", number, asdict(record))

    def trial_ended(
        self, number: int, outcome: str, value: float | None, summary: StudySummary | None
    ) -> None:
        """Write the event of a trial's end, without the summary, which `dispatch` adds."""
        self._write("trial_ended", number, outcome, value)

    def trial_lost(self, number: int) -> None:
        """Write the event of a lost trial."""
        self._write("trial_lost", number)

    def logged(self, level: int, text: str) -> None:
        """Write a log message, for the supervisor to log.

        Args:
            level: number of the logging level.
            text: the message.
        """
        self._write("logged", level, text)

    def ended(self, code: int, why: str) -> None:
        """Write the worker's last event: its exit code (see errors.py) and the reason that it ends."""
        self._write("ended", code, why)

    def _write(self, event: str, *arguments: Any) -> None:
        # Where the supervisor is gone, `worker_main` notices it, and stops in order.
        with self._lock, suppress(BrokenPipeError):
            self._stream.write(json.dumps([event, *arguments]) + "\n")
            self._stream.flush()


class LogToMessages(logging.Handler):
    """Logging handler that sends warnings to the supervisor, since lines that workers print would break its display."""

    def __init__(self, writer: MessageWriter) -> None:
        super().__init__(logging.WARNING)
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """Send a log record to the supervisor."""
        self._writer.logged(record.levelno, record.getMessage())


def dispatch(
    event: str,
    arguments: list[Any],
    callback: Callback,
    summary: Callable[[], StudySummary | None],
) -> None:
    """Call the method of a callback, or the logger, that a worker's line is for.

    Args:
        event: the line's first entry.
        arguments: the line's other entries.
        callback: receives the event.
        summary: returns the summary of the study, for the end of a trial; None where it is not known now.
    """
    if event == "logged":
        log.log(*arguments)
    elif event == "ended":
        pass  # only the supervisor's `WorkerProcess` uses this event
    elif event == "epoch_ended":
        number, record = arguments
        callback.epoch_ended(number, EpochRecord(**record))
    elif event == "trial_ended":
        number, outcome, value = arguments
        callback.trial_ended(number, outcome, value, summary())
    else:
        getattr(callback, event)(*arguments)
