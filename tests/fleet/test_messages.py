"""What a worker tells its supervisor: each event arrives as it was sent, a trial's end with the study's summary."""

import io
import json
import math
from typing import Any

import pytest

from blade_tune.fleet.messages import MessageWriter, dispatch
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.trial.callback import Callback, StudySummary

SUMMARY = StudySummary("study", "ndcg@10", 1, 2, 0, 0.5, {}, "", "")
RECORD = EpochRecord(3, {"next": 0.5}, 1e-3, 2.5, {"ndcg@10": 0.25})
EVENTS: dict[str, tuple[Any, ...]] = {
    "baselines_measured": ({"popularity": 0.1}, {"ials": "too large"}),
    "noted": ("a line",),
    "trial_started": (7, {"model.alpha": 0.5, "model.kind": "add"}),
    "epoch_ended": (7, RECORD),
    "trial_ended": (7, "complete", 0.25, SUMMARY),
    "trial_lost": (7,),
}
OF_THE_SUPERVISOR = {"run_started", "progressed", "run_ended"}


class Recorder(Callback):
    """Remembers the latest event of each name."""

    def __init__(self) -> None:
        self.heard: dict[str, tuple[Any, ...]] = {}

    def __getattribute__(self, name: str) -> Any:
        if name in EVENTS:
            return lambda *arguments: self.heard.update({name: arguments})
        return super().__getattribute__(name)


def replayed(name: str, *arguments: Any) -> dict[str, tuple[Any, ...]]:
    """What a callback hears of an event that a worker wrote."""
    stream, callback = io.StringIO(), Recorder()
    getattr(MessageWriter(stream), name)(*arguments)
    event, *received = json.loads(stream.getvalue())
    dispatch(event, received, callback, lambda: SUMMARY)
    return callback.heard


def test_every_event_of_a_worker_is_tried() -> None:
    """A new method of `Callback` finds its place here."""
    methods = {name for name in vars(Callback) if not name.startswith("_")}
    assert methods == EVENTS.keys() | OF_THE_SUPERVISOR


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_arrives_as_it_was_sent(name: str) -> None:
    """The summary, which a worker does not send, is there too."""
    assert replayed(name, *EVENTS[name]) == {name: EVENTS[name]}


def test_a_worker_does_not_read_the_summary() -> None:
    """The supervisor's own is passed on, whatever the worker was given."""
    assert replayed("trial_ended", 7, "complete", None, None)["trial_ended"][-1] is SUMMARY


def test_figures_that_are_no_numbers_arrive() -> None:
    """A loss may be NaN, or a rate unknown."""
    record = EpochRecord(1, {"next": math.nan}, math.inf, 0.0, {})
    (_, received) = replayed("epoch_ended", 0, record)["epoch_ended"]
    assert math.isnan(received.losses["next"])
    assert received.learning_rate == math.inf


def test_what_is_no_event_of_a_callback_reaches_none(caplog: pytest.LogCaptureFixture) -> None:
    """Log messages are logged, and the end of a worker is its process's."""
    assert replayed("logged", 30, "a warning") == {}
    assert caplog.messages == ["a warning"]
    assert replayed("ended", 0, "done") == {}
