"""The prune audit: a small share of the trials that the pruner marks is finished anyway, and remembers when."""

from pathlib import Path

import pytest

from blade_tune.spec.fingerprint import is_audited
from tests.tiny import run, stored

PRUNING = {"train__max_epochs": 4, "train__patience": 9, "search__trials": 12}
EAGER = {"kind": "percentile", "percentile": 20, "startup_trials": 2, "warmup": 0.0}


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search in which every trial to be pruned is finished."""
    results = tmp_path_factory.mktemp("audited")
    run(results, **PRUNING, search__pruner={**EAGER, "audit": 1.0})
    return results


def test_audited_trials_are_finished(audited: Path):
    """They are complete, count as such, and say at which epoch the pruner would have ended them first."""
    trials = stored(audited).trials
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    marked = [trial for trial in trials if "pruned_at" in trial.user_attrs]
    assert marked
    for trial in marked:
        assert len(trial.intermediate_values) == 4
        assert trial.user_attrs["pruned_at"] in trial.intermediate_values


def test_without_an_audit_they_are_pruned_there(audited: Path, tmp_path: Path):
    """The first trial that the audit finishes is, without it, the first to be pruned, at the same epoch."""
    run(tmp_path, **PRUNING, search__pruner={**EAGER, "audit": 0.0})
    finished = next(trial for trial in stored(audited).trials if "pruned_at" in trial.user_attrs)
    pruned = next(trial for trial in stored(tmp_path).trials if trial.state.name == "PRUNED")
    assert pruned.number == finished.number
    assert max(pruned.intermediate_values) == finished.user_attrs["pruned_at"]
    assert "pruned_at" not in pruned.user_attrs


def test_the_share_is_what_was_set():
    """Which trials are audited is known from study seed and number alone, and is of the set share."""
    for share in (0.0, 0.05, 0.5, 1.0):
        audited = sum(is_audited(2026, number, share) for number in range(4000))
        assert audited / 4000 == pytest.approx(share, abs=0.015)
    assert [is_audited(1, n, 0.5) for n in range(50)] != [is_audited(2, n, 0.5) for n in range(50)]
