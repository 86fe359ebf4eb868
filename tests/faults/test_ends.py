"""How trials end that do not end well: each for its own reason, and the study goes on."""

import re

import pytest
from optuna.trial import FrozenTrial

from blade_tune.storage.folder import StudyFolder
from blade_tune.storage.trials import root_number
from tests.faults.fleet import Fleet

EPOCH_LINE = re.compile(r"^(\S+ \S+) INFO blade_tune.training.loop epoch=", re.M)


@pytest.mark.slow
def test_a_trial_that_fails_takes_only_itself_down(fleet: Fleet):
    """A trial that raises, meets a NaN, hangs or takes all memory ends as error, nan, timeout or oom; the next trains.

    The one that took all memory reported before: it is pruned and charged to the budget.
    """
    fleet.define(2)
    assert fleet.run("--trial-time", "5s", kinds=["raise", "nan", "hang", "allocate"]) == 0, (
        fleet.said
    )
    error, nan, timeout, oom, complete = fleet.rows
    assert (error, nan, timeout) == (("FAIL", "error"), ("FAIL", "nan"), ("FAIL", "timeout"))
    assert (oom, complete) == (("PRUNED", "oom"), ("COMPLETE", ""))
    said = [trial.user_attrs.get("message", "") for trial in fleet.stored.trials]
    assert said[0] == "ValueError: broken on purpose"
    assert re.fullmatch(
        r"epoch 2, step 1: a loss is not finite: .*nan.*, learning rate 0\.\d+\.", said[1]
    )
    assert said[2] == "ran for 5 s, the limit of a trial."
    assert "memory" in said[3]
    assert fleet.stored.attempts.open_attempts() == []


@pytest.mark.slow
def test_a_trial_without_memory_is_tried_again_alone(fleet: Fleet):
    """Out of memory beside another, a trial is queued again and trains while no other does; again, it is pruned."""
    fleet.define(3)
    assert fleet.run("--workers", "2", kinds=["allocate"] * 3, epoch_s=0.3) == 0, fleet.said
    assert sorted(fleet.rows) == [("COMPLETE", "")] * 2 + [("FAIL", "superseded")] * 2 + [
        ("PRUNED", "oom")
    ]
    trials = fleet.stored.trials
    alone = [trial for trial in trials if trial.user_attrs.get("alone")]
    assert sorted(trial.state.name for trial in alone) == ["COMPLETE", "PRUNED"]
    again, other = sorted(
        (trial for trial in trials if trial.state.name == "COMPLETE"),
        key=lambda trial: trial.number,
    )
    training, others = epochs(fleet, again)[1:], epochs(fleet, other)
    assert training[-1] < others[0] or others[-1] < training[0]


def epochs(fleet: Fleet, trial: FrozenTrial) -> list[str]:
    """When a trial's epochs ended."""
    root = root_number(trial)
    return EPOCH_LINE.findall(StudyFolder(fleet.results, "tiny").trial(root).log.read_text())


@pytest.mark.slow
def test_a_study_whose_trials_all_fail_is_given_up(fleet: Fleet):
    """After --max-consecutive-failures the run ends in 5 with the latest message; what others had begun is little."""
    fleet.define(24)
    assert fleet.run("--workers", "3", kinds=["raise"], again=True) == 5
    assert re.search(
        r"Error: study tiny: [5-8] trials in a row failed; the latest, trial \d:",
        fleet.said,
    )
    assert "ValueError: broken on purpose" in fleet.said
    assert 5 <= len(fleet.rows) <= 8
    assert {row for row in fleet.rows if row[1] != "interrupted" and row[0] != "WAITING"} == {
        ("FAIL", "error")
    }


@pytest.mark.slow
def test_a_trial_that_kills_its_workers_is_given_up(fleet: Fleet):
    """After so many retries without an epoch a trial fails as `error`; the study goes on without it."""
    fleet.define(1)
    assert fleet.run(kinds=["die"] * 3, epoch=1, max_retries=2) == 0, fleet.said
    assert fleet.rows == [("FAIL", "lost")] * 2 + [("FAIL", "error"), ("COMPLETE", "")]
    given_up, complete = fleet.stored.trials[-2:]
    assert given_up.user_attrs["message"].startswith(
        "lost 3 times in a row without progress: its process is gone"
    )
    assert given_up.user_attrs["root"] == 0
    assert "root" not in complete.user_attrs
