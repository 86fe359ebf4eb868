"""The scratch database: signals get through it."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from blade_tune.data.raw.database import connected
from blade_tune.errors import PreemptedError

ENDLESS = "SELECT count(*) FROM range(100_000_000_000) numbers(n) WHERE hash(n) % 7 = 3"


@pytest.fixture
def preempted() -> Iterator[None]:
    """SIGTERM raises, as it does in the program."""

    def handler(*_: object) -> None:
        raise PreemptedError("stopped")

    before = signal.signal(signal.SIGTERM, handler)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("preempted")
@pytest.mark.parametrize(("sent", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, PreemptedError)])
def test_a_signal_in_a_query_is_what_its_handler_raises(sent: signal.Signals, raised: type[BaseException]) -> None:
    """Not the database's own error; and in the end the handlers are those of before."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    threading.Timer(0.2, os.kill, (os.getpid(), sent)).start()
    with pytest.raises(raised), connected(None) as database:
        database.execute(ENDLESS)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
