"""A combination in a comparison: of the fitted models beside it, last, and a contrast like any other."""

from pathlib import Path

import pytest

from blade_tune.config import write_yaml
from blade_tune.errors import ConfigError
from blade_tune.fleet.settings import RunSettings
from blade_tune.selection.compare import Budget, define, run_comparison
from blade_tune.selection.contrasts import contrasts_of
from blade_tune.selection.ensemble import searches_of
from blade_tune.storage.trials import best_trial
from blade_tune.trial.callback import Callback
from tests.selection.small import OwnExecutor
from tests.tiny import content


def write_study(folder: Path) -> None:
    """A study file `tiny` for a comparison."""
    path = folder / "studies" / "tiny.yaml"
    path.parent.mkdir()
    path.write_text(write_yaml(content()))


def test_a_combination_is_made_of_the_fitted_models_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It is searched last, of the best trials of the others, and is among the contrasts that were named before all."""
    write_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    budget = Budget(trials=2, top=1, seeds=2)
    models = ["combination", "popularity", "item_knn"]
    own = OwnExecutor(RunSettings(results=tmp_path), [], Callback())
    combined, *single = run_comparison(define("tiny", models, budget), budget, own, "item_knn")
    members = [(member.study, member.trial) for member in combined.definition.settled_members]
    bests = [best_trial(stored.trials) for stored in single]
    assert members == [
        (stored.definition.name, best.number)
        for stored, best in zip(single, bests, strict=True)
        if best
    ]
    found = contrasts_of([combined, *single], "item_knn")
    assert found is not None
    assert (set(found.models), found.scored) == ({"combination", "popularity"}, 0)
    again = run_comparison(define("tiny", models, budget), budget, own, "item_knn")
    assert [len(stored.trials) for stored in again] == [2, 2, 2]
    # Candidates of an ensemble are the others: a combination cannot be a member
    found_by_name = searches_of(["tiny.compare"], own.settings.workspace)
    assert [each.label for each in found_by_name] == ["popularity", "item_knn"]


@pytest.mark.parametrize("beside", [["sasrec"], ["sasrec", "popularity"]])
def test_a_combination_needs_two_fitted_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: list[str]
):
    """The refusal comes before anything is stored."""
    write_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="made of the 2 to 5 fitted models beside it"):
        define("tiny", ["combination", *beside], Budget(2, 1, 2))
