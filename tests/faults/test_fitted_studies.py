"""Studies of fits, which take milliseconds each: killed or stopped between any two of them, none is lost or doubled."""

import os
import signal
from collections import Counter

import pytest
from optuna.trial import TrialState

from blade_tune.storage.trials import root_number
from tests.faults.fleet import TIMEOUT_S, Fleet, until

TRIALS = 50
ENOUGH = 8  # complete trials after which it happens
WORDS = ("--workers", "2", "--heartbeat-s", "0.5", "--grace-s", "2")


def define(fleet: Fleet) -> None:
    """The tiny study for item_knn, over the space of its own."""
    fleet.define(TRIALS, model="item_knn", space="item_knn", train={})


def num_complete(fleet: Fleet) -> int:
    """How many trials the run that was started last has said to be complete."""
    return fleet.said.count(" complete value=")


def require_each_once(fleet: Fleet) -> None:
    """Make sure that so many trials are complete, each once, and that nothing runs or waits."""
    trials = fleet.require_whole(TRIALS, epochs=1)
    states = Counter(trial.state for trial in trials)
    assert states[TrialState.COMPLETE] == TRIALS
    assert states[TrialState.RUNNING] == states[TrialState.WAITING] == 0
    complete = (trial for trial in trials if trial.state == TrialState.COMPLETE)
    assert len({root_number(trial) for trial in complete}) == TRIALS


@pytest.mark.slow
def test_fits_that_are_killed_are_neither_lost_nor_doubled(fleet: Fleet):
    """kill -9 of the program and all its workers at once: the same command ends with exactly the trials asked for."""
    define(fleet)
    run = fleet.start(*WORDS)
    until(lambda: num_complete(fleet) >= ENOUGH)
    for process in fleet.processes():
        os.kill(process.pid, signal.SIGKILL)
    assert run.wait(TIMEOUT_S) == -signal.SIGKILL
    before = {
        trial.number: trial.value
        for trial in fleet.stored.trials
        if trial.state == TrialState.COMPLETE
    }
    assert ENOUGH <= len(before) < TRIALS
    assert fleet.run(*WORDS) == 0, fleet.said
    assert "Traceback" not in fleet.said
    require_each_once(fleet)
    after = {trial.number: trial.value for trial in fleet.stored.trials}
    assert {number: after[number] for number in before} == before


@pytest.mark.slow
def test_fits_that_are_stopped_go_on(fleet: Fleet):
    """Ctrl-C in the middle ends in 130 with nothing running; the same command goes on to the exact total."""
    define(fleet)
    run = fleet.start(*WORDS)
    until(lambda: num_complete(fleet) >= ENOUGH)
    run.send_signal(signal.SIGINT)
    assert run.wait(TIMEOUT_S) == 130
    assert fleet.said.endswith("Error: stopped; run the same command again to go on from here.\n")
    trials = fleet.stored.trials
    assert ENOUGH <= sum(trial.state == TrialState.COMPLETE for trial in trials) < TRIALS
    assert not [trial for trial in trials if trial.state == TrialState.RUNNING]
    assert fleet.stored.attempts.open_attempts() == []
    assert fleet.processes() == []
    assert fleet.run(*WORDS) == 0, fleet.said
    require_each_once(fleet)
