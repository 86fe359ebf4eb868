"""When the best baseline was passed: first by the wall clock, whoever did it, and not before it is exceeded."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from blade_tune.storage.folder import StudyFolder
from blade_tune.study.stored import StoredStudy
from blade_tune.study.time_to_baseline import Passing, first_passing
from tests import tiny

START = datetime(2026, 1, 1)
BASELINES = {
    "max_length": 6,
    "metrics": {"popularity": {"ndcg@10": 0.25}, "item_knn": {"ndcg@10": 0.5}},
    "left_out": {},
}
ENDS = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING]


def study(tmp_path: Path, rows: list[FrozenTrial], model: str = "blade") -> StoredStudy:
    """A study of these rows with baselines, which no database has; nobody has files of it."""
    of = optuna.create_study(direction="maximize")
    of.set_user_attr("baselines", BASELINES)
    of.add_trials(rows)
    definition = tiny.define() if model == "blade" else replace(tiny.define(), model=model)
    return StoredStudy(of, definition, StudyFolder(tmp_path, "tiny"), None)  # type: ignore[arg-type]


def row(
    begun: float, curve: dict[int, float], state: TrialState = TrialState.COMPLETE, **attrs: Any
) -> FrozenTrial:
    """One that began so many seconds after the study and ran for 1,000; an epoch took 10 s, of which it trained 8."""
    attrs = {"clock": [[epoch, 8.0 * epoch, 10.0 * epoch] for epoch in curve], **attrs}
    if attrs["clock"] is None:
        del attrs["clock"]
    value = max(curve.values()) if state == TrialState.COMPLETE else None
    made = create_trial(state=state, value=value, intermediate_values=curve, user_attrs=attrs)
    made.datetime_start = START + timedelta(seconds=begun)
    made.datetime_complete = (
        made.datetime_start + timedelta(seconds=1_000) if state.is_finished() else None
    )
    return made


def passing(tmp_path: Path, *rows: FrozenTrial) -> Passing:
    stored = study(tmp_path, list(rows))
    return first_passing(stored, stored.trials)


def test_the_first_figure_above_the_best_baseline_counts(tmp_path):
    """Not the first above any baseline, nor the highest; its time is that of its row and what came before."""
    found = passing(tmp_path, row(0, {1: 0.3, 2: 0.4}), row(100, {1: 0.4, 2: 0.6, 3: 0.9}))
    assert found == Passing("item_knn", 0.5, 1, 2, 0.6, study_seconds=120.0, training_seconds=16.0)
    assert str(found) == (
        "item_knn's 0.5000 was first passed 120 s into the study, by trial 1 at epoch 2 after 16 s of training (0.6000)"
    )


def test_the_earliest_is_so_by_the_wall_clock(tmp_path):
    """A trial that began later and was quicker is first, whatever its number and its epoch."""
    found = passing(tmp_path, row(0, {9: 0.6}), row(40, {4: 0.6}), row(60, {1: 0.4, 2: 0.6}))
    assert (found.trial, found.epoch, found.study_seconds, found.training_seconds) == (
        1,
        4,
        80.0,
        32.0,
    )


def test_of_two_at_once_the_lower_number_is_first(tmp_path):
    """So that every machine says the same."""
    assert passing(tmp_path, row(10, {1: 0.6}), row(0, {2: 0.6})).trial == 0


@pytest.mark.parametrize("state", ENDS)
def test_a_trial_counts_however_it_ends(tmp_path, state):
    """Pruned, failed and running ones have stored their figures too."""
    found = passing(tmp_path, row(5, {1: 0.6}, state), row(0, {9: 0.7}))
    assert (found.trial, found.study_seconds) == (0, 15.0)


def test_an_interrupted_attempt_counts_at_its_own_time(tmp_path):
    """The row that goes on reports the same figures again, later."""
    first = row(0, {1: 0.6}, TrialState.FAIL, reason="interrupted")
    again = row(500, {1: 0.6, 2: 0.7}, root=0)
    assert (
        passing(tmp_path, first, again).trial,
        passing(tmp_path, first, again).study_seconds,
    ) == (0, 10.0)


def test_the_study_began_with_its_first_trial_not_with_the_lowest_number(tmp_path):
    """Nor with the one that passed."""
    waiting = create_trial(state=TrialState.WAITING)
    assert passing(tmp_path, waiting, row(30, {1: 0.6}), row(20, {1: 0.1})).study_seconds == 20.0


def test_equal_is_not_passed(tmp_path):
    """As much as the baseline is not more."""
    found = passing(tmp_path, row(0, {1: 0.5, 2: 0.4}))
    assert (found.baseline, found.figure, found.trial, found.study_seconds) == (
        "item_knn",
        0.5,
        None,
        None,
    )
    assert str(found) == "no trial has passed item_knn's 0.5000 yet"


def test_without_a_trial_none_has_passed(tmp_path):
    """Nor where the only one waits."""
    for rows in ([], [create_trial(state=TrialState.WAITING)]):
        assert (
            passing(tmp_path, *rows).facts["words"] == "no trial has passed item_knn's 0.5000 yet"
        )


def test_without_a_baseline_it_says_so(tmp_path):
    """Nothing is compared with nothing."""
    stored = study(tmp_path, [row(0, {1: 0.6})])
    stored.study.set_user_attr(
        "baselines", {"max_length": 6, "metrics": {}, "left_out": {"item_knn": "too many"}}
    )
    found = first_passing(stored, stored.trials)
    assert found == Passing()
    assert str(found) == "no baseline was measured, so none can be passed"


def test_a_time_that_is_not_stored_is_bounded_not_made_up(tmp_path):
    """Of a trial of an earlier version the row's end is known to be later; its seconds of training are not known."""
    found = passing(tmp_path, row(100, {1: 0.1, 5: 0.6}, clock=None), row(0, {1: 0.1}))
    assert (found.study_seconds, found.is_upper_bound, found.training_seconds) == (
        1_100.0,
        True,
        None,
    )
    assert str(found) == (
        "item_knn's 0.5000 was first passed at most 1,100 s into the study, by trial 0 at epoch 5 "
        "after an unknown time of training (0.6000)"
    )


def test_a_running_trial_without_a_clock_has_no_time_at_all(tmp_path):
    """It comes behind every trial whose time, or whose end, is known."""
    running = row(0, {1: 0.6}, TrialState.RUNNING, clock=None)
    assert "first passed at a time that is not stored, by trial 0 at epoch 1 after" in str(
        passing(tmp_path, running)
    )
    assert passing(tmp_path, running, row(900, {3: 0.6})).trial == 1


def test_a_fitted_model_has_no_epoch_to_name(tmp_path):
    """Its one figure is there after the seconds of its fit."""
    stored = study(tmp_path, [row(3, {1: 0.6}), row(0, {1: 0.1})], model="item_knn")
    assert str(first_passing(stored, stored.trials)) == (
        "item_knn's 0.5000 was first passed 13 s into the study, by trial 0 after 8 s of fitting (0.6000)"
    )


def test_facts_are_plain_and_complete(tmp_path):
    """They have the same names whether one has passed or not."""
    found, none = passing(tmp_path, row(0, {1: 0.6})).facts, Passing().facts
    assert list(found) == list(none)
    assert list(found) == [
        *(
            "baseline",
            "figure",
            "trial",
            "epoch",
            "value",
            "study_seconds",
            "is_upper_bound",
            "training_seconds",
        ),
        "words",
    ]


def test_a_study_that_was_run_says_it_of_its_own_database(tmp_path: Path):
    """Without the files of its trials, to the epoch."""
    tiny.run(tmp_path, search__trials=2)
    stored = tiny.stored(tmp_path)
    low = {**stored.study.user_attrs["baselines"], "metrics": {"item_knn": {"ndcg@10": -1.0}}}
    stored.study.set_user_attr("baselines", low)
    elsewhere = replace(stored, folder=StudyFolder(tmp_path / "elsewhere", "tiny"))
    found = first_passing(elsewhere, elsewhere.trials)
    _, trained, seconds = stored.trials[0].user_attrs["clock"][0]
    assert (found.trial, found.epoch, found.is_upper_bound) == (0, 1, False)
    assert (found.training_seconds, found.study_seconds) == (trained, seconds)
