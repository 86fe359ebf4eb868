"""Handling of Ctrl-C and SIGTERM during a database query, which would otherwise delay or hide them.

DuckDB runs signal handlers between the tasks of the main thread, and reports an exception that they raise only as an
interrupted query. If the main thread has no task, it waits for other threads and runs no handler, for minutes. So
`interruptible` remembers what handlers raise and raises that again, and a thread that the signal itself wakes
interrupts a query that goes on regardless.
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
# Time for the main thread to run a handler by itself, before its query is interrupted
PATIENCE_S = 0.3


class _Signals:
    """Signals that arrive while a database works, and the handlers that were there before."""

    def __init__(self, database: duckdb.DuckDBPyConnection) -> None:
        self._database = database
        self.handlers = {int(number): signal.getsignal(number) for number in HEARD}
        self.raised: list[BaseException] = []
        self.is_interrupting = False
        self.is_over = threading.Event()

    def heard(self, number: int, frame: FrameType | None) -> None:
        """Run the original handler of a signal, in the main thread.

        What it raises is remembered; it is raised at once only if no query is being interrupted.
        """
        handler = self.handlers[number]
        try:
            if callable(handler):
                handler(number, frame)
        except BaseException as error:
            self.raised.append(error)
            if not self.is_interrupting:
                raise

    def listen(self, woken: socket.socket) -> None:
        """Wait for signals and interrupt the query, in another thread, until the other end of the socket is closed."""
        while number := woken.recv(1):
            if number[0] in HEARD and not self.is_over.wait(PATIENCE_S):
                self.is_interrupting = True
                self._database.interrupt()


@contextmanager
def interruptible(database: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let a signal end the block's query at once, with the exception that its handler raises.

    In any thread but the main one this does nothing, for Python runs signal handlers in the main thread only.
    """
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
        listener.join(0)  # any call will do: a pending handler runs before the next line
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
