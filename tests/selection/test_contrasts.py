"""Contrasts with one model: named in its ledger before anything runs, and the only ones that are tested."""

from pathlib import Path

import pytest

from blade_tune.config import write_yaml
from blade_tune.errors import ConfigError
from blade_tune.report.comparison_tables import comparison_rows, comparison_table
from blade_tune.selection.compare import Budget, define, run_comparison
from blade_tune.selection.contenders import compare
from blade_tune.selection.contrasts import contrasts_of, name_contrasts, require_known
from blade_tune.selection.statistics import holm
from blade_tune.selection.testing import Opening
from blade_tune.study.stored import StoredStudy
from tests.export.test_export import CPU
from tests.selection.small import own_executor_in
from tests.tiny import content

MODELS = ["item_knn", "pure_svd", "popularity"]
BUDGET = Budget(trials=2, top=1, seeds=2)
VALID = Opening("compare", CPU, None)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a study file."""
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "tiny.yaml").write_text(write_yaml(content()))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(place: Path, against: str | None = None) -> list[StoredStudy]:
    return run_comparison(define("tiny", MODELS, BUDGET), BUDGET, own_executor_in(place), against)


def notes(studies: list[StoredStudy], against: str) -> str:
    found = compare(studies, "valid", VALID, against=against)
    return "\n".join(comparison_table(found, []).footnotes)


def test_contrasts_are_named_before_anything_runs(place: Path):
    """The ledger of the model that all are compared with says so, once; of three pairs two are tested."""
    for _ in range(2):
        studies = run(place, against="popularity")
    assert [len(stored.ledger.entries()) for stored in studies] == [0, 0, 1]
    assert studies[-1].ledger.openings() == []
    found = compare(studies, "valid", VALID, against="popularity")
    assert found.reference == "popularity"
    assert set(found.with_reference) == {"item_knn", "pure_svd"}
    assert [pair.p_adjusted for pair in found.pairs] == holm(
        [pair.comparison.p_value for pair in found.pairs]
    )
    assert found.contrasts is not None
    assert (found.contrasts.scored, found.contrasts.opened, found.contrasts.others) == (0, 0, 0)
    rows = {row["model"]: row for row in comparison_rows(found)}
    for name, pair in found.with_reference.items():
        assert rows[name]["compared_with"] == "popularity"
        assert rows[name]["difference"] == pair.comparison.difference
        assert pair.comparison.difference == pytest.approx(
            rows[name]["ndcg@10"] - rows["popularity"]["ndcg@10"]
        )
    said = notes(studies, "popularity")
    assert "contrasts with popularity were named on 20" in said
    assert "before any trial was scored" in said
    assert said.count(" minus popularity: ") == 2


def test_contrasts_that_are_named_late_are_called_so(place: Path):
    """After trials were scored, the table says how many, and how many other contrasts were named in that ledger."""
    studies = run(place)
    assert contrasts_of(studies, "item_knn") is None
    name_contrasts(studies, "item_knn")
    assert "after 6 trials had been scored" in notes(studies, "item_knn")
    name_contrasts(studies[:2], "item_knn")
    assert "other contrasts that were named in the same ledger: 1" in notes(studies, "item_knn")


def test_the_model_to_compare_with_is_compared():
    """One that is not among the models is an error before anything runs."""
    with pytest.raises(ConfigError, match="--against eidp: must be one of --models blade,sasrec"):
        require_known("eidp", ["blade", "sasrec"])


def test_a_table_says_what_it_can_find(place: Path):
    """How large a difference must be, with users, seeds and pairs."""
    assert "power: a difference of 0." in notes(run(place), "popularity")
