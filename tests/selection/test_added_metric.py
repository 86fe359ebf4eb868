"""A metric that is added is one line, and the studies of before have it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from blade_tune.config import write_yaml
from blade_tune.selection.compare import Budget, define, run_comparison
from blade_tune.selection.confirm import confirm, load_confirmation
from blade_tune.selection.contenders import compare
from blade_tune.selection.effects import study_effects, sweeps
from blade_tune.selection.testing import Opening
from blade_tune.selection.testing import test_runs as open_test_rows
from tests.selection.small import SEARCH, own_executor
from tests.selection.test_compare import executor
from tests.tiny import content, run, stored

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
# A name that nobody declares, whatever metrics there are
LINE = '    "later_mrr": lambda rank: 1.0 / (rank + 1),\n'
WITHOUT_RANKS = 3  # the trial of the search whose ranks are elsewhere
BUDGET = Budget(trials=2, top=1, seeds=2, max_epochs=1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a search that is confirmed, tested and swept, and a comparison, as they were without the metric."""
    folder = tmp_path_factory.mktemp("before")
    spaces = {"blade-extended": content()["space"], "item_knn": {"model": {"max_length": 6}}}
    files = {
        "studies/tiny": content(**SEARCH),
        **{f"search_spaces/{name}": space for name, space in spaces.items()},
    }
    for path, file in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / f"{path}.yaml").write_text(write_yaml(file))
    run(folder / "results", **SEARCH)
    search = stored(folder / "results")
    confirm(search, 2, 2, own_executor())
    opening = Opening("confirm --test", torch.device("cpu"), None)
    confirmation = load_confirmation(search)
    assert confirmation is not None
    open_test_rows(search, confirmation, opening)
    study_effects(search, sweeps(search, {"model.alpha": "0.5"}), None, own_executor())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        studies = run_comparison(
            define("tiny", ["blade", "item_knn"], BUDGET), BUDGET, executor(folder)
        )
        compare(studies, "test", opening)
    files = search.files(search.trials[WITHOUT_RANKS])
    files.ranks.unlink()
    for winning in confirmation.winning_runs:  # as the version wrote them that knew of no digests
        path = confirmation.runs.files(winning).test
        facts = json.loads(path.read_text())
        path.write_text(
            json.dumps(
                {name: value for name, value in facts.items() if name not in ("files", "sha256")}
            )
        )
    return folder


@pytest.fixture(scope="module")
def said(place: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What commands say of it in a copy of the package that has one more line."""
    source = tmp_path_factory.mktemp("later")
    shutil.copytree(
        ROOT / "blade_tune", source / "blade_tune", ignore=shutil.ignore_patterns("__pycache__")
    )
    (source / "studies").mkdir()
    shutil.copy(ROOT / "studies" / "published.csv", source / "studies")
    path = source / "blade_tune" / "metrics.py"
    path.write_text(path.read_text().replace("}\nCUTOFFS", f"{LINE}}}\nCUTOFFS"))
    assert (
        path.read_text().count("\n")
        == (ROOT / "blade_tune" / "metrics.py").read_text().count("\n") + 1
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(source), str(ROOT)))}
    words = [sys.executable, "-m", "tests.selection.later_metric"]
    ended = subprocess.run(
        words, cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def mrr(ranks_U: NDArray[np.int32]) -> float:
    """Mean reciprocal rank at 10, user by user."""
    return sum(1 / (rank + 1) for rank in ranks_U.tolist() if rank < 10) / len(ranks_U)


def test_trials_of_before_have_it_from_their_ranks(said: dict[str, Any], place: Path):
    """In `trials` and `show`, after the columns that they had; where there are no ranks it is left out."""
    search = stored(place / "results")
    for trial, row in zip(search.trials, said["trials"], strict=True):
        files = search.files(trial)
        expected = (
            None if trial.number == WITHOUT_RANKS else pytest.approx(mrr(np.load(files.ranks)))
        )
        assert row.get("valid.later_mrr@10") == expected
        assert row["valid.ndcg@10"] == trial.value
    assert said["show"]["valid.later_mrr@10"] == said["trials"][0]["valid.later_mrr@10"]
    names = [name for name in said["show"] if name.startswith("valid.")]
    assert [name.partition("@")[0] for name in names[-4:]] == ["valid.ndcg"] + [
        "valid.later_mrr"
    ] * 3


def test_tables_of_before_have_it_from_ranks(said: dict[str, Any], place: Path):
    """`confirm --test`, `sweep`, `compare --test` and the report show it beside what they showed."""
    confirmation = load_confirmation(stored(place / "results"))
    assert confirmation is not None
    winning = [confirmation.runs.files(run) for run in confirmation.winning_runs]
    assert said["confirm"]["test"]["later_mrr@10"]["mean"] == pytest.approx(
        np.mean([mrr(np.load(files.test_ranks)[1]) for files in winning])
    )
    assert said["sweep"][0]["later_mrr@10"] == pytest.approx(
        np.mean([mrr(np.load(files.ranks)) for files in winning])
    )
    assert all(0 < row["later_mrr@10"] < row["mean"] for row in said["sweep"])
    assert "LATER_MRR@10" in (place / "results" / "tiny" / "report" / "tables.md").read_text()
    compared = {row["model"]: row["later_mrr@10"] for row in said["compare"]}
    assert compared["blade"] > 0
    assert compared["item_knn, untuned"] == compared["item_knn"] > 0
    assert compared["popularity, untuned"] is None  # whose test ranks are not kept


def test_what_is_made_now_has_it(said: dict[str, Any], place: Path):
    """A study may be searched by it; the best of made-up data, baselines and the exported model are measured by it."""
    assert all(row["value"] == row["valid.later_mrr@10"] > 0 for row in said["by-mrr trials"])
    baselines = {
        name: figures["later_mrr@10"]
        for name, figures in said["stats"]["baselines"]["valid"].items()
    }
    assert said["by-mrr status"]["baselines"] == baselines
    assert max(baselines.values()) < said["stats"]["best_reachable"]["valid"]["later_mrr@10"] < 1
    assert 0 < said["export"]["test"]["later_mrr@10"] < 1
    assert "| later_mrr@10 " in (place / "results" / "tiny" / "best" / "README.md").read_text()


def test_what_was_kept_is_still_whole(said: dict[str, Any], place: Path):
    """A trial of before is reproduced, baselines are not measured again, and nothing is called damaged."""
    assert said["reproduce"]["largest_difference"] == 0.0
    assert len(list((place / "results" / ".baselines").iterdir())) == 1
    warnings = [warning for warning in said["warnings"] if "BELOW" not in warning]
    assert all(f"trials/{WITHOUT_RANKS}/ranks.npy" in warning for warning in warnings)
    assert said["confirm"]["candidates"][0]["mean"] > 0
    # Two by confirm, one by export-best
    assert len(stored(place / "results").ledger.entries()) == 3
