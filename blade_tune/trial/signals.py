"""Stopping on request: Ctrl-C and SIGTERM."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from blade_tune.errors import InterruptedStudyError, PreemptedError


class StopSignals:
    """Turns the first SIGINT or SIGTERM into a request and the second into an immediate end.

    Args:
        insisting: which signals end at once when they come second. A worker hears of a SIGTERM to a whole process group
            twice, from outside and from its supervisor, and takes only a SIGINT for insistence.
    """

    def __init__(self, insisting: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM)) -> None:
        self.received: signal.Signals | None = None
        self._insisting = insisting

    def __bool__(self) -> bool:
        return self.received is not None

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self.received is None:
            self.received = signal.Signals(number)  # and no more: it may have come in the middle of any other call
        elif number in self._insisting:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def listening(self) -> Iterator["StopSignals"]:
        """Handle signals inside the block, and as before after it."""
        before = {number: signal.signal(number, self._receive) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @property
    def name(self) -> str:
        """The signal that was received."""
        return self.received.name if self.received else "none"

    def error(self) -> InterruptedStudyError:
        """What ends the run after a signal."""
        kind = PreemptedError if self.received == signal.SIGTERM else InterruptedStudyError
        return kind("stopped; run the same command again to go on from here.")
