"""Which rows count, and how."""

from datetime import datetime
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from blade_tune.storage.trials import (
    best_trial,
    count_states,
    is_promoted,
    is_scored,
    latest_failures,
    logical_trials,
    num_configurations,
    num_scored,
    ranked,
    resumed_rows,
    root_number,
    scored_trials,
    state_words,
)

C, P, F, R, W = (
    TrialState.COMPLETE,
    TrialState.PRUNED,
    TrialState.FAIL,
    TrialState.RUNNING,
    TrialState.WAITING,
)


def trials(*rows: tuple[Any, ...]) -> list[FrozenTrial]:
    """Rows (state, value or number of reports, reason) as trials numbered from 0."""
    study = optuna.create_study(direction="maximize")
    for state, *rest in rows:
        number, reason = (*rest, None, None)[:2]
        study.add_trial(
            create_trial(
                state=state,
                value=number if state == C else None,
                intermediate_values=dict.fromkeys(range(number or 0), 0.1) if state != C else {},
                user_attrs={"reason": reason} if reason else {},
            )
        )
    return study.trials


def test_scored_are_complete_and_reported_pruned_trials():
    """The budget is charged for completed trials and for pruned ones with a report, for nothing else."""
    assert (
        num_scored(
            trials(
                (C, 0.0),
                (P, 1, "pruned"),
                (P, 0, "invalid"),
                (P, 2, "oom"),
                (F, 3, "nan"),
                (R, 2),
                (W,),
            )
        )
        == 3
    )


def test_trials_are_ranked_by_value_then_number():
    """The best completed trial comes first, of equals the earlier one; others have no rank."""
    rows = trials((C, 0.1), (C, 0.3), (P, 5), (C, 0.3), (F, 1), (C, 0.0))
    assert [trial.number for trial in ranked(rows)] == [1, 3, 0, 5]
    assert best_trial(rows).number == 1
    assert best_trial(trials((F, 1), (P, 3))) is None


@pytest.mark.parametrize(
    ("rows", "failed"),
    [
        ([], []),
        ([(C, 0.1)], []),
        ([(F, 0, "error"), (C, 0.1)], []),
        ([(F, 0, "error"), (C, 0.1), (F, 0, "nan"), (F, 2, "error")], [3, 2]),
        ([(F, 0, "error"), (P, 0, "invalid"), (P, 0, "oom")], [2, 1, 0]),
        ([(F, 0, "error"), (P, 1, "pruned"), (F, 0, "error")], [2]),
        ([(F, 0, "error"), (F, 1, "interrupted"), (F, 0, "error"), (R, 1), (W,)], [2, 0]),
        ([(F, 0, "lost"), (F, 0, "superseded")], []),
        ([(F, 0)], [0]),
    ],
)
def test_failures_in_a_row_end_with_a_scored_trial(rows: list, failed: list[int]):
    """Failed, invalid and out-of-memory rows count, the newest first; continued and unfinished ones do not."""
    assert [trial.number for trial in latest_failures(trials(*rows))] == failed


def test_states_are_counted_with_continued_rows_apart():
    """An attempt that another row goes on from is no failure."""
    rows = trials((C, 0.1), (P, 1), (F, 1, "interrupted"), (F, 1, "error"), (R,), (W,), (W,))
    assert count_states(rows) == {
        "complete": 1,
        "pruned": 1,
        "paused": 0,
        "failed": 1,
        "running": 1,
        "waiting": 2,
        "continued": 1,
    }


def promoted(**attrs: Any) -> list[FrozenTrial]:
    """A trial that paused, another that paused, and the row that goes on with the first, with more attributes."""
    rows = trials((P, 2, "paused"), (P, 2, "paused"), (C, 0.4))
    rows[2].user_attrs = {"root": 0, "promoted": 0, **attrs}
    return rows


def test_a_promoted_trial_is_charged_once():
    """By its paused row, in whatever way the row that goes on with it ends, and before it does."""
    rows = promoted()
    assert num_scored(rows) == 2
    assert [trial.number for trial in scored_trials(rows)] == [2, 1]
    for state in (R, W, F):
        rows[2].state = state
        assert num_scored(rows) == 2
        assert [trial.number for trial in scored_trials(rows)] == [0, 1]
    assert num_scored(rows) == sum(is_scored(row) and not is_promoted(row) for row in rows)


def test_a_promoted_trial_stands_once():
    """Its paused row is `continued`; that of a trial which was not promoted is `paused`."""
    rows = promoted()
    assert resumed_rows(rows) == {0}
    states = [state_words(row, resumed_rows(rows)) for row in rows]
    assert states == ["continued", "paused", "complete"]
    counts = {state: count for state, count in count_states(rows).items() if count}
    assert counts == {"continued": 1, "paused": 1, "complete": 1}
    assert [trial.number for trial in logical_trials(rows)] == [2, 1]
    assert num_configurations(rows) == 0


def test_a_completed_promotion_is_no_failure_and_a_failed_one_is():
    """Though a promoted trial is charged by its paused row alone."""
    rows = promoted()
    assert latest_failures(rows) == []
    rows[2].state = F
    rows[2].datetime_complete = datetime.max
    assert [trial.number for trial in latest_failures(rows)] == [2]


def test_a_row_that_goes_on_knows_its_root():
    """A trial's root is itself, unless it goes on from another."""
    own, other = (
        optuna.create_trial(value=0.1),
        optuna.create_trial(value=0.1, user_attrs={"root": 3}),
    )
    own.number = other.number = 7
    assert (root_number(own), root_number(other)) == (7, 3)
