"""Graceful stop on SIGINT (Ctrl-C) and SIGTERM: the first asks a run to stop, a second one stops it at once."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from blade_tune.errors import InterruptedStudyError, PreemptedError


class StopSignals:
    """Signal handlers that turn the first SIGINT or SIGTERM into a request and the second into a KeyboardInterrupt.

    True as a condition once a signal was received: code that can stop between two steps asks for that.

    Args:
        insisting: the signals that interrupt at once when they come second. A worker receives a SIGTERM that is sent
            to a whole process group twice, from outside and from its supervisor, so only a SIGINT interrupts it.
    """

    def __init__(
        self, insisting: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM)
    ) -> None:
        self.received: signal.Signals | None = None
        self._insisting = insisting

    def __bool__(self) -> bool:
        return self.received is not None

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self.received is None:
            # Nothing else is safe here, for any call may have been interrupted.
            self.received = signal.Signals(number)
        elif number in self._insisting:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def listening(self) -> Iterator["StopSignals"]:
        """Install the handlers for the block, and restore the earlier ones after it."""
        before = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, self._receive)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @property
    def name(self) -> str:
        """Name of the first signal received, such as "SIGTERM", or "none"."""
        return self.received.name if self.received else "none"

    def error(self) -> InterruptedStudyError:
        """Return the error to raise for the received signal: PreemptedError for SIGTERM, else InterruptedStudyError."""
        kind = PreemptedError if self.received == signal.SIGTERM else InterruptedStudyError
        return kind("stopped; run the same command again to go on from here.")
