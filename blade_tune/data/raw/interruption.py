"""Ctrl-C and SIGTERM in the middle of a query.

duckdb runs the handlers of signals between the tasks of the main thread, and says of what they raise only that a query
was interrupted; where the main thread has no task, it waits for the others and runs none, for minutes. So what handlers
raise is remembered and raised again, and a query that goes on regardless is interrupted from a thread that the signal
itself wakes.
"""

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import duckdb

from blade_tune.errors import DataError

HEARD = (signal.SIGINT, signal.SIGTERM)
PATIENCE_S = 0.3  # in which the main thread may find a signal by itself


class _Signals:
    """What signals did while a database was at work."""

    def __init__(self, database: duckdb.DuckDBPyConnection) -> None:
        self._database = database
        self.handlers = {int(number): signal.getsignal(number) for number in HEARD}
        self.raised: list[BaseException] = []
        self.is_interrupting = False
        self.is_over = threading.Event()

    def heard(self, number: int, frame: FrameType | None) -> None:
        """In the main thread: what the handler of before does; while a query is interrupted, that raises later."""
        handler = self.handlers[number]
        try:
            if callable(handler):
                handler(number, frame)
        except BaseException as error:
            self.raised.append(error)
            if not self.is_interrupting:
                raise

    def listen(self, woken: socket.socket) -> None:
        """In another thread, until the other end is closed."""
        while number := woken.recv(1):
            if number[0] in HEARD and not self.is_over.wait(PATIENCE_S):
                self.is_interrupting = True
                self._database.interrupt()


@contextmanager
def interruptible(database: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let signals end a query at once, with what their handlers raise; of use in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = _Signals(database)
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    listener = threading.Thread(target=signals.listen, args=(woken,), daemon=True)
    listener.start()
    before = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    heard = [number for number, handler in signals.handlers.items() if callable(handler)]
    for number in heard:
        signal.signal(number, signals.heard)
    try:
        yield
    except (RuntimeError, duckdb.Error, DataError):
        listener.join(0)  # any call: a handler that has not run yet runs before the next line
        if signals.raised:
            raise signals.raised[0] from None
        raise
    finally:
        signals.is_over.set()
        for number in heard:
            signal.signal(number, signals.handlers[number])
        signal.set_wakeup_fd(before)
        waker.close()
        listener.join()
        woken.close()
