"""A study that several runs work on is asked to stop, by its own command or by signals to everybody at once."""

import contextlib
import signal

import psutil
import pytest

from tests.cli.program import call
from tests.faults.fleet import TIMEOUT_S, Fleet, until

OFTEN = ("--heartbeat-s", "0.5", "--grace-s", "2")  # the database is asked about twice a second


def stop(fleet: Fleet, *words: str) -> None:
    storage = fleet.url.render_as_string(hide_password=False)
    ended = call("stop", "--study", "tiny", "--storage", storage, *words, cwd=fleet.folder)
    assert ended.code == 0, ended.err


@pytest.mark.slow
def test_a_worker_joins_and_stop_ends_them_all(any_fleet: Fleet):
    """`worker` takes its part of a study that a run made; `stop` ends both in 130, and a run finishes it exactly."""
    fleet = any_fleet
    fleet.define(6)
    run = fleet.start(*OFTEN, epoch_s=0.7)
    until(fleet.num_epochs)
    joined = fleet.start(*OFTEN, command="worker", epoch_s=0.7)
    until(lambda: len(fleet.stored.attempts.open_attempts()) == 2)
    stop(fleet)
    assert [process.wait(TIMEOUT_S) for process in (run, joined)] == [130, 130], fleet.said
    assert "stopped by `blade-tune stop`" in fleet.said
    assert {reason for state, reason in fleet.rows if state == "FAIL"} == {"interrupted"}
    assert fleet.run() == 0
    fleet.require_whole(6)


@pytest.mark.slow
def test_stop_now_goes_back_to_the_checkpoint(fleet: Fleet):
    """After a `stop` that waits for a long epoch, `stop --now` does not; nothing is lost, and no retry is spent."""
    fleet.define(1)
    run = fleet.start(*OFTEN, kinds=["hang"])
    until(fleet.num_epochs)
    stop(fleet)
    until(lambda: fleet.stored.stop_request() is not None)
    stop(fleet, "--now")
    assert run.wait(20.0) == 130
    assert fleet.rows == [("FAIL", "interrupted"), ("WAITING", "")]


@pytest.mark.slow
def test_a_signal_to_everybody_is_one_request(fleet: Fleet):
    """A SIGTERM to supervisor and workers alike, even twice to workers, has trials stored at the end of the epoch."""
    fleet.define(1, epochs=6, train={"max_epochs": 6, "eval_every": 6, "patience": 6})
    run = fleet.start(epoch_s=0.5)
    until(lambda: "trial=0 started" in fleet.said)
    for process in [*fleet.workers(), *fleet.processes()]:
        with contextlib.suppress(psutil.NoSuchProcess):  # it may have ended at the first one
            process.send_signal(signal.SIGTERM)
    assert run.wait(TIMEOUT_S) == 75
    assert fleet.rows == [("FAIL", "interrupted"), ("WAITING", "")]
    assert fleet.stored.folder.trial(0).checkpoint.exists()


@pytest.mark.slow
def test_two_signals_at_once_are_no_success(fleet: Fleet):
    """Two signals in one moment end a run in the code of one of them, never in 0."""
    fleet.define(2)
    run = fleet.start(kinds=["hang"])
    until(fleet.num_epochs)
    run.send_signal(signal.SIGTERM)
    run.send_signal(signal.SIGINT)
    assert run.wait(20.0) in (75, 130)
    assert fleet.rows[0] == ("FAIL", "interrupted")


def test_a_signal_before_the_study_is_open_is_a_preemption(fleet: Fleet):
    """A SIGTERM while the program loads or prepares data ends it in 75, with nothing left behind."""
    fleet.define(1)
    run = fleet.start()
    until(lambda: fleet.processes() and any(fleet.folder.joinpath("results").glob(".prepared*")))
    run.send_signal(signal.SIGTERM)
    assert run.wait(TIMEOUT_S) == 75, fleet.said
