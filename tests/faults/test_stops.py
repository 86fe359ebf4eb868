"""Processes that are stopped for a while, left behind, or told twice to stop."""

import signal

import pytest

from tests.faults.fleet import TIMEOUT_S, Fleet, is_alive, until


@pytest.mark.slow
def test_a_worker_that_wakes_too_late_brings_nothing(any_fleet: Fleet):
    """A worker stopped for longer than the grace period loses its trial to another; awake, it drops it and goes on.

    The trial is counted once, and is whole.
    """
    fleet = any_fleet
    fleet.define(5)
    run = fleet.start("--workers", "2", "--heartbeat-s", "0.4", "--grace-s", "2", epoch_s=0.4)
    until(lambda: fleet.num_epochs(0) and fleet.num_epochs(1))
    sleeper = fleet.workers()[0]
    mine = next(
        attempt
        for attempt in fleet.stored.attempts.open_attempts()
        if attempt.owner.pid == sleeper.pid
    )
    sleeper.suspend()
    until(lambda: fleet.rows[mine.trial_number][1] == "lost")
    sleeper.resume()
    assert run.wait(TIMEOUT_S) == 0, fleet.said
    trials = fleet.require_whole(5)
    assert [trial.number for trial in trials if trial.user_attrs.get("reason") == "lost"] == [
        mine.trial_number
    ]
    assert "nothing was heard of it for" in fleet.said
    assert (
        f"trial={mine.trial_number} was given to another worker; its result is dropped"
        in fleet.said
    )
    assert f"worker={sleeper.pid} ended" not in fleet.said


def test_a_worker_without_a_supervisor_ends(fleet: Fleet):
    """Where a supervisor is killed, its workers end by themselves, after the grace period even one that hangs."""
    fleet.define(2)
    run = fleet.start("--heartbeat-s", "0.5", "--grace-s", "1", kinds=["hang"])
    until(fleet.num_epochs)
    worker = fleet.workers()[0]
    run.kill()
    until(lambda: not is_alive(worker), timeout_s=5.0)


@pytest.mark.slow
def test_a_second_signal_ends_at_once(fleet: Fleet):
    """After the first Ctrl-C a run waits for the end of an epoch, after the second not even for that: exit code 130."""
    fleet.define(2)
    run = fleet.start(kinds=["hang"])
    until(fleet.num_epochs)
    run.send_signal(signal.SIGINT)
    until(lambda: "signal=SIGINT stopping after this epoch" in fleet.said)
    run.send_signal(signal.SIGINT)
    assert run.wait(10.0) == 130
    assert fleet.rows == [("FAIL", "interrupted"), ("WAITING", "")]
    assert fleet.processes() == []
