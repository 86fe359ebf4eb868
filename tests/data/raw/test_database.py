"""The scratch database: signals get through it."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from blade_tune.data.raw import interruption
from blade_tune.data.raw.database import connected
from blade_tune.errors import PreemptedError

LONG = "SELECT count(*) FROM range(5_000_000_000) numbers(n) WHERE hash(n) % 7 = 3"  # half a minute


@pytest.fixture
def preempted() -> Iterator[None]:
    """SIGTERM raises, as it does in the program."""

    def handler(*_: object) -> None:
        raise PreemptedError("stopped")

    before = signal.signal(signal.SIGTERM, handler)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("preempted")
@pytest.mark.parametrize(
    "is_deaf", [False, True], ids=["the main thread at work", "the main thread waiting"]
)
@pytest.mark.parametrize(
    ("sent", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, PreemptedError)]
)
def test_a_signal_in_a_query_is_what_its_handler_raises(
    sent: signal.Signals,
    raised: type[BaseException],
    is_deaf: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Soon, and not the database's own error; in the end the handlers and the wake-up are those of before."""
    if is_deaf:  # the listener is first, as where the main thread looks for no signal
        monkeypatch.setattr(interruption, "PATIENCE_S", 0.0)
    before = state()
    start = time.monotonic()
    with pytest.raises(raised), connected(tmp_path) as database:
        kill_soon_in(database, sent)
    assert time.monotonic() - start < 5
    assert state() == before
    assert threading.active_count() == before[-1]


def kill_soon_in(database: duckdb.DuckDBPyConnection, sent: signal.Signals) -> None:
    threading.Timer(0.2, os.kill, (os.getpid(), sent)).start()
    database.execute(LONG)


def state() -> tuple[object, ...]:
    """Handlers, the descriptor that signals wake, and threads."""
    descriptor = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(descriptor)
    return (
        signal.getsignal(signal.SIGINT),
        signal.getsignal(signal.SIGTERM),
        descriptor,
        threading.active_count(),
    )
