"""What a supervisor asks the database: answered, refused, or not answered at all, it goes on."""

import threading

import pytest
from optuna.exceptions import StorageInternalError

from blade_tune.fleet import database_queries as queries
from blade_tune.fleet.database_queries import BoundedQueries


class Outages:
    """Counts them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def refuse() -> None:
    raise StorageInternalError("no connection")


def test_an_answer_is_given():
    """A database that answers is asked as if there were no thread."""
    outages = Outages()
    assert BoundedQueries(outages).ask(lambda: 7) == 7
    assert outages.count == 0


def test_a_refusal_is_an_outage(caplog):
    """It is told once and remembered every time, until an answer comes."""
    outages = Outages()
    asked = BoundedQueries(outages)
    assert [asked.ask(refuse), asked.ask(refuse)] == [None, None]
    assert asked.ask(lambda: 7) == 7
    assert outages.count == 2
    assert [record.message for record in caplog.records] == [
        "storage is away (no connection); workers wait for it"
    ]
    asked.ask(refuse)
    assert len(caplog.records) == 2


def test_a_database_that_hangs_holds_nothing_up(monkeypatch: pytest.MonkeyPatch, caplog):
    """Without an answer in time the question is left alone, and none is asked until it is answered after all."""
    monkeypatch.setattr(queries, "ANSWER_S", 0.1)
    outages, answered = Outages(), threading.Event()
    asked = BoundedQueries(outages)
    assert asked.ask(lambda: answered.wait(10.0)) is None
    assert asked.ask(lambda: pytest.fail("asked while busy")) is None
    assert outages.count == 1
    assert "no answer for 0 s" in caplog.records[0].message
    answered.set()
    while asked.ask(lambda: 7) is None:
        pass
    assert outages.count == 1


def test_a_mistake_of_ours_is_no_outage():
    """Other errors are raised where the question was asked."""
    with pytest.raises(ZeroDivisionError):
        BoundedQueries(pytest.fail).ask(lambda: 1 / 0)
