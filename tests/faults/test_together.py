"""Several runs of one study at the same time."""

from collections import Counter

import pytest

from tests.faults.fleet import TIMEOUT_S, Fleet

TRIALS = 7
ENQUEUED = [{"model": {"alpha": 0.5}, "tag": "middle"}, {"model": {"alpha": 1.0}, "tag": "high"}]


@pytest.mark.slow
def test_runs_that_start_together_share_one_study(any_fleet: Fleet):
    """Two runs of a study that is not there yet make one, with its enqueued trials once and its exact total."""
    fleet = any_fleet
    fleet.define(TRIALS, enqueue=ENQUEUED)
    runs = [fleet.start("--workers", "2", epoch_s=0.15) for _ in range(2)]
    assert [run.wait(TIMEOUT_S) for run in runs] == [0, 0], fleet.said
    trials = fleet.require_whole(TRIALS)
    assert len(trials) == TRIALS
    assert Counter(trial.user_attrs.get("tag") for trial in trials) == {
        "middle": 1,
        "high": 1,
        None: TRIALS - 2,
    }
