"""A limit of steps, hours or CPU hours holds for a study whoever works on it, and ends trials at an evaluation."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from blade_tune.data.store import prepare
from blade_tune.errors import ConfigError, InterruptedStudyError
from blade_tune.storage.spending import COUNTS, UNLIMITED, Limit, Unit, steps
from blade_tune.storage.trial_record import EndReason, TrialRecord
from blade_tune.storage.trials import logical_trials, num_scored
from blade_tune.study.create import TrialBudget, open_study
from blade_tune.study.progress import describe
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.training.loop import Training
from blade_tune.trial.callback import Callback
from tests.tiny import define, work

STEPS = 2  # of an epoch of the tiny study: 30 users, batches of 16


def limited(
    results: Path, limit: Limit | None, trials: int = UNLIMITED, **changes: Any
) -> StoredStudy:
    """The tiny study, opened with a limit; its trials have four epochs, each with an evaluation."""
    definition = define(train__max_epochs=4, **changes)
    data = prepare(definition.data, None, results)
    return open_study(
        definition, data, Workspace.at(None, results), TrialBudget(trials, limit=limit)
    )


def costs(study: StoredStudy) -> list[int]:
    return [TrialRecord(trial).steps for trial in logical_trials(study.trials)]


class Stop(Callback):
    """Asks the worker to stop, which it does after the next epoch."""

    def __init__(self, number: int, epoch: int) -> None:
        self.at = (number, epoch)

    def epoch_ended(self, number: int, record: EpochRecord) -> None:
        if (number, record.epoch) == self.at:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("total", [1, 2, 8, 9, 13, 20])
def test_steps_end_a_search_at_an_evaluation(tmp_path: Path, total: int):
    """What is spent is the total, rounded up to the next evaluation, in the last trial alone."""
    study = limited(tmp_path, Limit("steps", total))
    why = work(study)
    spent = -(-total // STEPS) * STEPS
    assert (steps(study.trials), type(steps(study.trials))) == (spent, int)
    assert why.startswith(f"{spent} of {total} steps are spent")
    whole, rest = divmod(spent, 4 * STEPS)
    assert costs(study) == [4 * STEPS] * whole + [rest] * (rest > 0)
    assert num_scored(study.trials) == len(study.trials)


def test_a_trial_that_is_cut_is_complete_with_its_best(tmp_path: Path):
    """Its value is that of its best evaluation, its files are kept, and its row says why it ended."""
    study = limited(tmp_path, Limit("steps", 11))
    work(study)
    first, cut = study.trials
    assert TrialRecord.reason not in TrialRecord(first)
    assert (cut.state, TrialRecord(cut).reason) == (TrialState.COMPLETE, EndReason.BUDGET)
    assert describe(cut).startswith(
        "complete (budget: ended after epoch 2, when the study had spent its 11 steps"
    )
    assert cut.value == max(cut.intermediate_values.values())
    assert study.files(cut).ranks.is_file()


def test_a_trial_that_reaches_its_own_end_with_the_total_is_not_cut(tmp_path: Path):
    """Four epochs of two steps are all that the trial wants, and all that there is."""
    study = limited(tmp_path, Limit("steps", 8))
    work(study)
    (only,) = study.trials
    assert describe(only) == "complete"


def test_a_limit_is_a_property_of_the_stored_study(tmp_path: Path):
    """Whoever opens or joins it without a number keeps it; another limit goes on; a number of trials ends it."""
    work(limited(tmp_path, Limit("steps", 8)))
    again = Workspace.at(None, tmp_path).study("tiny")
    assert again.limit == Limit("steps", 8)
    before = len(again.trials)
    work(again)
    assert len(again.trials) == before
    more = limited(tmp_path, Limit("steps", 12))
    work(more)
    assert costs(more) == [8, 4]
    fewer = limited(tmp_path, None, trials=3)
    assert fewer.limit is None
    work(fewer)
    assert num_scored(fewer.trials) == 3


def test_an_interrupted_trial_goes_on_within_the_total(tmp_path: Path):
    """What it had spent stays counted while it waits; then it goes on, and the total is what it was."""
    study = limited(tmp_path, Limit("steps", 14))
    with pytest.raises(InterruptedStudyError):
        work(study, Stop(1, 1))
    waiting = study.trials[-1]
    assert (waiting.state, steps(study.trials)) == (TrialState.WAITING, 8 + 4)
    work(study)
    assert costs(study) == [8, 6]
    assert describe(study.trials[-1]).startswith("complete (budget")


def test_a_begun_trial_is_ended_where_it_stands_once_the_total_is_reached(tmp_path: Path):
    """A continuation that waits is no new work: it is stored with what it had reached, and nothing is trained."""
    study = limited(tmp_path, Limit("steps", 14))
    with pytest.raises(InterruptedStudyError):
        work(study, Stop(1, 1))
    assert study.places == UNLIMITED
    lower = limited(tmp_path, Limit("steps", 12))
    assert lower.places == num_scored(lower.trials) + 1 == 2
    work(lower)
    assert costs(lower) == [8, 4]
    assert describe(lower.trials[-1]).startswith("complete (budget: ended after epoch 2")


@pytest.mark.parametrize(
    ("unit", "words", "attribute"),
    [
        ("hours", "1e-09 hours are spent", "seconds"),
        ("cpu_hours", "1e-09 CPU hours are spent", "cpu_seconds"),
    ],
)
def test_hours_are_those_of_training_in_all_trials(
    tmp_path: Path, unit: Unit, words: str, attribute: str
):
    """They are the sum over trials, and the search ends at the first evaluation beyond them."""
    study = limited(tmp_path, Limit(unit, 1e-9))
    why = work(study)
    (only,) = study.trials
    assert len(only.intermediate_values) == 1
    assert words in why
    assert COUNTS[unit](study.trials) == getattr(TrialRecord(only), attribute) / 3600 > 0.0


def test_waiting_costs_hours_but_no_cpu_hours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What else the machine does beside a training changes what it costs in hours only."""
    train_epoch = Training.train_epoch

    def delayed(training: Training) -> dict[str, float]:
        time.sleep(0.5)
        return train_epoch(training)

    monkeypatch.setattr(Training, "train_epoch", delayed)
    study = limited(tmp_path, None, trials=1)
    work(study)
    record = TrialRecord(study.trials[0])
    assert record.cpu_seconds < 4 * 0.5 < record.seconds


def test_pruned_and_failed_trials_are_charged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What a trial trained before it was ended counts as that of any other."""
    study = limited(
        tmp_path,
        Limit("steps", 24),
        search__pruner={"kind": "median", "startup_trials": 1, "warmup": 0.2},
    )
    monkeypatch.setattr("optuna.trial.Trial.should_prune", lambda trial: trial.number == 1)
    work(study)
    states = [trial.state for trial in study.trials]
    assert TrialState.PRUNED in states
    assert TrialRecord(study.trials[1]).steps == 4
    assert sum(costs(study)) == 24


def test_steps_that_were_not_counted_cannot_be_limited(tmp_path: Path):
    """Trials of an earlier version have none: a limit of steps is refused with a way out, one of hours is not."""
    study = limited(tmp_path, None, trials=1)
    work(study)
    attrs = {name: value for name, value in study.trials[0].user_attrs.items() if name != "steps"}
    before = optuna.create_trial(value=0.1, user_attrs=attrs)
    study.study.add_trial(before)
    with pytest.raises(ConfigError, match="did not count steps; limit hours or trials"):
        limited(tmp_path, Limit("steps", 5))
    assert limited(tmp_path, Limit("hours", 5)).limit == Limit("hours", 5)


def test_a_fitted_model_ends_where_its_space_does(tmp_path: Path):
    """Under a limit every configuration is fitted once, and nothing more to use the hours up."""
    space = {"model": {"neighbors": {"choice": [5, 10, 20]}}}
    definition = define(model="item_knn", space=space, train={}, recipe="published")
    data = prepare(definition.data, None, tmp_path)
    place = Workspace.at(None, tmp_path)
    study = open_study(definition, data, place, TrialBudget(200, limit=Limit("hours", 1.0)))
    assert work(study) == "every point of the space is tried: 3 trials are scored"
    assert costs(study) == [0, 0, 0]
