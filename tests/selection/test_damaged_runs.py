"""Runs whose ranks, weights or test figures are not as they were: noticed, and never other numbers in silence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from optuna.trial import FrozenTrial

from blade_tune.errors import ConfigError, DamagedFileError, RunsMissingError
from blade_tune.selection.confirm import confirm, load_confirmation
from blade_tune.selection.confirmation import Confirmation
from blade_tune.selection.runs import find_runs
from blade_tune.selection.scores import load_scores
from blade_tune.selection.scores import tested_beside as baselines_beside
from blade_tune.selection.testing import Opening
from blade_tune.selection.testing import test_runs as open_test_rows
from blade_tune.study.members import settle_members
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace
from tests.damage import damages
from tests.selection.small import own_executor
from tests.tiny import define, stored

OPENING = Opening("confirm --test", torch.device("cpu"), None)


@pytest.fixture(scope="module")
def tested(searched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a search whose winner is confirmed and tested; tests leave them as they are."""
    results = shutil.copytree(searched, tmp_path_factory.mktemp("tested") / "results")
    search = stored(results)
    confirm(search, 1, 2, own_executor())
    open_test_rows(search, confirmed(search), OPENING)
    return results


@pytest.fixture
def search(tested: Path, tmp_path: Path) -> StoredStudy:
    return stored(shutil.copytree(tested, tmp_path / "results"))


def confirmed(search: StoredStudy) -> Confirmation:
    confirmation = load_confirmation(search)
    assert confirmation is not None
    return confirmation


def runs_of(search: StoredStudy) -> list[FrozenTrial]:
    return confirmed(search).winning_runs


def scored(search: StoredStudy, part: str) -> tuple[object, ...]:
    """All that is told of the winner's runs."""
    study, runs = find_runs(search), runs_of(search)
    assert study is not None
    scores = load_scores(study, "winner", runs, part)
    beside = baselines_beside(study.files(runs[0]), scores, "ndcg@10") if part == "test" else None
    return scores.metrics, scores.ranks_SU.tolist(), beside


@pytest.mark.parametrize(
    ("part", "name"),
    [("valid", "ranks"), ("test", "test"), ("test", "test_ranks"), ("test", "test_baseline_ranks")],
)
def test_other_ranks_and_figures_are_never_taken(search: StoredStudy, part: str, name: str):
    """Each of 60 damaged files is refused, with its name and the command that helps, or changes nothing."""
    whole = scored(search, part)
    study = find_runs(search)
    assert study is not None
    path: Path = getattr(study.files(runs_of(search)[0]), name)
    content, refused = path.read_bytes(), 0
    for kind, damage in damages(60, seed=len(name)):
        path.write_bytes(damage(content))
        try:
            assert scored(search, part) == whole, kind
        except (RunsMissingError, DamagedFileError) as error:
            refused += str(path) in str(error) and (
                "blade-tune reproduce" in str(error) or "--test" in str(error)
            )
    assert refused > 50


def test_ranks_of_before_must_give_the_figures_beside_them(search: StoredStudy):
    """Where the database has no digest of a file, other ranks are noticed all the same."""
    study = find_runs(search)
    assert study is not None
    run = runs_of(search)[0]
    del run.user_attrs["files"]
    path = study.files(run).ranks
    np.save(path, np.roll(np.load(path), 1) + 1)
    with pytest.raises(
        RunsMissingError, match="holds other ranks than those that its figures come from"
    ):
        load_scores(study, "winner", [run], "valid")


@pytest.mark.parametrize("name", ["test.json", "test_ranks.npy"])
def test_damaged_test_figures_are_taken_again(
    search: StoredStudy, name: str, caplog: pytest.LogCaptureFixture
):
    """As another line of the ledger, with a warning, and they are what they were."""
    before, lines = scored(search, "test"), len(search.ledger.entries())
    study = find_runs(search)
    assert study is not None
    path = study.files(runs_of(search)[0]).path / name
    path.write_bytes(path.read_bytes()[:-9])
    open_test_rows(search, confirmed(search), OPENING)
    assert f"{path}: is not as it was written" in caplog.text
    assert scored(search, "test") == before
    assert len(search.ledger.entries()) == lines + 1


def test_no_test_figure_is_shown_without_a_line_in_the_ledger(search: StoredStudy):
    """Figures that are there, and of which the ledger of this search says nothing, are taken again, with a line."""
    before, lines = scored(search, "test"), search.ledger.entries()
    search.ledger.path.unlink()
    search.study.set_user_attr("ledger", None)
    open_test_rows(search, confirmed(search), OPENING)
    assert scored(search, "test") == before
    said = ("trial", "of", "seed", "command")
    again = [{name: line[name] for name in said} for line in search.ledger.entries()]
    assert again == [{name: line[name] for name in said} for line in lines]


def test_test_figures_of_before_are_read(search: StoredStudy):
    """A file without a digest is taken where it has every figure that such files had, and nothing else."""
    study = find_runs(search)
    assert study is not None
    before = scored(search, "test")
    path = study.files(runs_of(search)[0]).test
    facts = json.loads(path.read_text())
    kept = {name: value for name, value in facts.items() if name not in ("files", "sha256")}
    path.write_text(json.dumps(kept))
    assert scored(search, "test") == before
    path.write_text(json.dumps({name: value for name, value in kept.items() if name != "hr@20"}))
    with pytest.raises(DamagedFileError, match="is not as it was written"):
        scored(search, "test")


def change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("spoil", [change, Path.unlink])
def test_a_model_with_other_weights_is_not_tested(
    search: StoredStudy, spoil: Callable[[Path], None]
):
    """Nothing is opened for it, and the error says how to make the weights again."""
    study, lines = find_runs(search), len(search.ledger.entries())
    assert study is not None
    files = study.files(runs_of(search)[0])
    files.test.unlink()
    spoil(files.weights)
    with pytest.raises(
        RunsMissingError,
        match=r"`blade-tune reproduce 0 --study tiny\.runs` makes them again",
    ):
        open_test_rows(search, confirmed(search), OPENING)
    assert len(search.ledger.entries()) == lines


def test_a_damaged_trial_is_no_member(search: StoredStudy):
    """A combination is not made of other weights than the trial's."""
    workspace = Workspace(search.storage.engine.url, search.folder.results)
    definition = define(
        model="combination",
        space={"model": {"max_length": 6}},
        train={},
        members=["tiny:0", "tiny:1"],
    )
    change(search.files(search.trials[0]).weights)
    with pytest.raises(
        ConfigError, match=r"member tiny:0: .*best\.safetensors: is not as the trial left it\."
    ):
        settle_members(definition, workspace)
