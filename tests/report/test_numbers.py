"""The numbers behind the figures."""

import pytest
from optuna.trial import TrialState

from blade_tune.report import numbers
from blade_tune.storage.trials import logical_trials, num_scored
from tests.report import made_up
from tests.report.made_up import COMPLETE, EPOCHS, FAIL, PRUNED, trial

PARAMS = {
    "model.num_heads": 1,
    "model.alpha": 0.5,
    "model.augmentation": "add",
    "train.learning_rate": 0.004,
}


def spent(rows):
    return {row["kind"]: (row["trials"], row["epochs"], row["hours"]) for row in rows}


def test_costs_count_every_trial_once(searched):
    """What was spent adds up to the trials that were started, one that went on counted once, with all of its epochs."""
    rows = numbers.costs(searched)
    assert sum(row["trials"] for row in rows) == len(logical_trials(searched.trials)) == 40
    assert spent(rows) == {
        "complete": (26, 26 * EPOCHS, pytest.approx(26 * 90 / 3600)),
        "pruned": (8, 8 * 15, pytest.approx(8 * 22.5 / 3600)),
        "repeated": (4, 4 * EPOCHS, pytest.approx(4 * 90 / 3600)),
        "failed": (2, 6, pytest.approx(9 / 3600)),
    }


def test_what_an_interrupted_trial_has_cost_is_not_forgotten(empty):
    """While it waits to go on, its cost stands under `unfinished`; a trial that never began costs nothing."""
    half = trial(
        PARAMS, 30, {"epochs": 30, "seconds": 36.0, "reason": "interrupted", "seed": 1}, FAIL
    )
    waiting = made_up.trial(PARAMS, 0, {"root": 0, "seed": 1}, TrialState.WAITING)
    fresh = made_up.trial(PARAMS, 0, {"seed": 2}, TrialState.WAITING)
    stored = made_up.in_memory([half, waiting, fresh], empty)
    assert spent(numbers.costs(stored)) == {"unfinished": (1, 30, pytest.approx(0.01))}


def test_a_killed_trial_has_cost_what_it_reported(empty):
    """Where nothing says how many epochs there were, they are those up to the last evaluation."""
    stored = made_up.in_memory([trial(PARAMS, 20, {"seed": 1, "reason": "error"}, FAIL)], empty)
    assert spent(numbers.costs(stored)) == {"failed": (1, 20, 0.0)}


def test_runs_on_fresh_seeds_stand_apart(empty, monkeypatch):
    """What confirmation, ablations and sweeps trained is no part of the search."""
    runs = made_up.in_memory(
        [trial(PARAMS, EPOCHS, {"epochs": EPOCHS, "seconds": 72.0, "seed": 1})], empty
    )
    monkeypatch.setattr(numbers, "find_runs", lambda _: runs)
    assert spent(numbers.costs(empty)) == {"fresh seeds": (1, EPOCHS, pytest.approx(0.02))}


def test_scored_values_are_as_many_as_the_budget_was_charged(searched):
    """Completed trials give their value, pruned ones the best that they reported."""
    values = numbers.scored_values(searched)
    assert len(values) == num_scored(searched.trials)
    pruned = [t for t in searched.trials if t.state == PRUNED]
    assert {max(t.intermediate_values.values()) for t in pruned} <= set(values)


def test_the_audit_compares_with_what_the_study_had_then(empty):
    """Marked trials are held against those that had completed before; gain counts from the mark on."""
    rows = [
        audited(0.20, {5: 0.20}),
        audited(0.19, {5: 0.1, 10: 0.12, 15: 0.19}, pruned_at=10, epochs=15),
        audited(0.25, {5: 0.1, 10: 0.11, 15: 0.25}, pruned_at=10, epochs=15),
        audited(0.24, {5: 0.1, 10: 0.24}, pruned_at=5, epochs=10),
    ]
    stored = made_up.in_memory(rows, empty)
    found = numbers.prune_audit(stored)
    assert [row["trial"] for row in found] == [1, 2, 3]
    assert [row["reached"] for row in found] == [0.12, 0.11, 0.1]
    assert [row["gain"] for row in found] == pytest.approx([0.07, 0.14, 0.14])
    assert [row["best then"] for row in found] == [0.2, 0.2, 0.25]
    assert [row["is best"] for row in found] == [False, True, False]
    summary = numbers.audit_summary(found)
    assert (summary.audited, summary.ahead, summary.extra_epochs) == (3, 1, 15)
    assert summary.largest_lead == pytest.approx(0.05)
    assert 0 < summary.low < 1 / 3 < summary.high < 1


def test_an_audit_without_a_lead_has_lost_nothing(searched):
    """Where no marked trial came out ahead the interval begins at 0, and the largest lead is 0."""
    summary = numbers.audit_summary(numbers.prune_audit(searched))
    assert (summary.audited, summary.ahead, summary.low, summary.largest_lead) == (3, 0, 0.0, 0.0)
    assert numbers.audit_summary([]) is None


def test_importances_need_twenty_trials(searched):
    """With 20 completed trials they are shares of 1, with 19 there are none, and where all are equal none either."""
    done = [t for t in searched.trials if t.state == COMPLETE]
    shares = numbers.importances(made_up.in_memory(done[:20], searched))
    assert sum(shares.values()) == pytest.approx(1)
    assert set(shares) == set(searched.definition.space.free)
    assert [*shares.values()] == sorted(shares.values(), reverse=True)
    assert numbers.importances(made_up.in_memory(done[:19], searched)) is None
    assert (
        numbers.importances(
            made_up.in_memory([made_up.trial(PARAMS, 5, {"seed": 1})] * 20, searched)
        )
        is None
    )


def audited(value, curve, **attrs):
    """A completed trial of that value and curve."""
    finished = trial(PARAMS, 5, {"seed": 1, **attrs})
    finished.value, finished.intermediate_values = value, curve
    return finished
