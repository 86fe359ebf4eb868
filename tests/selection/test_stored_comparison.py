"""Comparisons as they are stored: found by the names of their searches, read without training or opening anything."""

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.choices import NextItemLoss
from blade_tune.config import write_yaml
from blade_tune.errors import ConfigError, NothingStoredError, RunsMissingError
from blade_tune.models import MODELS as ALL_MODELS
from blade_tune.report.comparison_tables import comparison_table
from blade_tune.selection.compare import Budget, define, run_comparison
from blade_tune.selection.comparison_name import ComparisonName
from blade_tune.selection.contenders import compare
from blade_tune.selection.stored_comparison import StoredComparison, require
from blade_tune.selection.testing import Opening
from blade_tune.spec.recipes import RECIPES
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace
from tests.export.test_export import CPU
from tests.selection.small import OwnExecutor, own_executor_in
from tests.tiny import content

MODELS = ["item_knn", "pure_svd", "popularity"]
BUDGET = Budget(trials=2, top=1, seeds=2)


class Stopped(OwnExecutor):
    """Stops before the last of the models."""

    def work(self, study: StoredStudy, **changes: object) -> None:
        if study.label == MODELS[-1]:
            raise RunsMissingError("stopped")
        super().work(study, **changes)


def with_study(folder: Path) -> Path:
    (folder / "studies").mkdir()
    (folder / "studies" / "tiny.yaml").write_text(write_yaml(content()))
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a study file."""
    monkeypatch.chdir(with_study(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a comparison that has ended, all models with item_knn; tests leave it as it is."""
    place = with_study(tmp_path_factory.mktemp("compared"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        definitions = define("tiny", MODELS, BUDGET)
        run_comparison(definitions, BUDGET, own_executor_in(place), "item_knn")
    return place


def workspace(place: Path) -> Workspace:
    return Workspace.at(None, place / "results")


def found_in(place: Path, name: str = "tiny.compare") -> StoredComparison:
    found = StoredComparison.find(workspace(place), name)
    assert found is not None
    return found


@given(
    study=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
    recipe=st.sampled_from([None, *RECIPES]),
    loss=st.sampled_from([None, *get_args(NextItemLoss)]),
    model=st.sampled_from([*ALL_MODELS]),
)
def test_the_name_of_a_search_says_its_comparison(study, recipe, loss, model):
    """Whatever the study is called; its runs and its re-tuned variants are searches of no comparison."""
    name = ComparisonName(study, recipe, loss)
    search = name.search(model)
    assert ComparisonName.of_search(search) == name
    for other in (f"{search}.runs", f"{search}.ablate-w-o-CL", study, str(name)):
        of = ComparisonName.of_search(other)
        assert of is None or of.study != study


def test_a_stored_comparison_is_that_of_its_command(compared: Path):
    """Its table is that which `compare` prints, contrasts included; its command names file, models and budget."""
    stored = found_in(compared)
    printed = compare(stored.found, "valid", Opening("compare", CPU, None), "item_knn")
    read = stored.on("valid")
    assert read is not None
    assert comparison_table(read, []) == comparison_table(printed, [])
    assert read.contrasts == printed.contrasts
    assert (stored.models, stored.missing, stored.others) == (MODELS, {}, [])
    assert stored.command == (
        "blade-tune compare --study tiny --models item_knn,pure_svd,popularity --budget trials:2 --against item_knn"
    )


def test_a_comparison_that_was_stopped_names_what_is_missing(place: Path):
    """The models that are confirmed are compared; those of the contrasts that are not are named, also unmade ones."""
    definitions = define("tiny", [*MODELS, "combination"], BUDGET)
    with pytest.raises(RunsMissingError, match="stopped"):
        run_comparison(
            definitions, BUDGET, Stopped(own_executor_in(place).settings, [], None), "pure_svd"
        )
    stored = found_in(place)
    assert stored.missing == {"popularity": "not begun", "combination": "not begun"}
    found = stored.on("valid")
    assert found is not None
    assert {entry.label for entry in found.entries} == {"item_knn", "pure_svd"}
    assert found.reference == "pure_svd"
    assert found.contrasts is not None
    assert found.contrasts.models == ("item_knn", "popularity", "combination")


def test_test_rows_are_read_where_they_were_opened_and_nowhere_else(place: Path):
    """Before, there is no comparison on them; afterwards it is the same, and no ledger has another line."""
    studies = run_comparison(define("tiny", MODELS, BUDGET), BUDGET, own_executor_in(place))
    assert found_in(place).on("test") is None
    opened = compare(studies[:2], "test", Opening("compare --test", CPU, None))
    lines = [stored.ledger.entries() for stored in studies]
    read = found_in(place).on("test")
    assert read is not None
    assert [entry.label for entry in read.entries] == [entry.label for entry in opened.entries]
    assert read.pairs == opened.pairs
    assert [stored.ledger.entries() for stored in studies] == lines


def test_models_are_those_of_the_contrasts_that_were_named_last(place: Path):
    """A model that was searched before, under the same name, is named beside them."""
    for models, against in ((MODELS, None), (MODELS[:2], "item_knn")):
        run_comparison(define("tiny", models, BUDGET), BUDGET, own_executor_in(place), against)
    stored = found_in(place)
    assert (stored.models, stored.others) == (MODELS[:2], ["popularity"])


def test_a_name_that_nothing_has_is_refused_with_those_that_are_known(
    compared: Path, tmp_path: Path
):
    """Studies and comparisons; a dash that was typed too many is none of the name."""
    with pytest.raises(NothingStoredError):
        require(workspace(tmp_path), "tiny.compare")
    with pytest.raises(
        ConfigError, match=r"Did you mean tiny.compare\?.*Comparisons: tiny.compare\.$"
    ):
        require(workspace(compared), "tiny.compar")
    assert isinstance(require(workspace(compared), "tiny.compare-"), StoredComparison)
    assert isinstance(require(workspace(compared), "tiny.compare-item_knn"), StoredStudy)
