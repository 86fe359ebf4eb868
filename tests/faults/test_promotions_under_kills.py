"""kill -9 of workers whose trials pause and are promoted: every trial is charged once, and nothing is left over."""

import random
from collections import Counter

import pytest
from optuna.trial import TrialState

from blade_tune.storage.trials import (
    is_continued,
    is_paused,
    is_promoted,
    logical_trials,
    num_scored,
    root_number,
)
from tests.faults.fleet import TIMEOUT_S, Fleet, until
from tests.faults.test_kills import kill_workers

TRIALS, EPOCHS, RUNGS = 16, 4, (1, 2)
KILLS = 10  # of workers, in each of two runs
WORDS = ("--workers", "4", "--heartbeat-s", "0.5", "--grace-s", "4")
PROMOTE = {"kind": "promote", "rungs": [0.25, 0.5], "reduction_factor": 2}


@pytest.mark.slow
def test_kills_of_a_promoting_study_neither_lose_nor_charge_a_trial(fleet: Fleet):
    """Whatever is killed, exactly so many trials are charged, each once, and each pause is ended once at most."""
    dice = random.Random(5)  # noqa: S311 - no secret
    fleet.define(TRIALS, EPOCHS, search={"trials": TRIALS, "pruner": PROMOTE})
    run = fleet.start(*WORDS, epoch_s=0.15)
    kill_workers(fleet, run, KILLS, dice)
    run.kill()
    run.wait()
    again = fleet.start(*WORDS, epoch_s=0.15)
    kill_workers(fleet, again, KILLS, dice)
    assert again.wait(TIMEOUT_S) == 0, fleet.said
    require_exact(fleet)
    before = len(fleet.stored.trials)
    assert fleet.run(*WORDS) == 0
    assert len(fleet.stored.trials) == before
    until(lambda: not fleet.processes())


def require_exact(fleet: Fleet) -> None:
    """Make sure that a search has ended as one that nobody disturbed."""
    stored = fleet.stored
    trials = stored.trials
    assert num_scored(trials) == TRIALS == len([t for t in logical_trials(trials) if t.params])
    assert stored.attempts.open_attempts() == []
    for trial in logical_trials(trials):
        if trial.state == TrialState.COMPLETE:
            assert sorted(trial.intermediate_values) == list(range(1, EPOCHS + 1))
        elif trial.params:
            assert is_paused(trial)
            assert max(trial.intermediate_values) in RUNGS
    successors = Counter(
        trial.user_attrs["promoted"]
        for trial in trials
        if is_promoted(trial) and not is_continued(trial)
    )
    assert set(successors.values()) <= {1}
    pauses = Counter(
        (root_number(trial), max(trial.intermediate_values)) for trial in trials if is_paused(trial)
    )
    assert set(pauses.values()) <= {1}
    assert list(stored.folder.path.glob("trials/*/checkpoint.pt")) == []
