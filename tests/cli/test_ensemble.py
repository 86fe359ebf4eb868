"""The command `ensemble`: what it prints of confirmed runs, and the bundle of a sum that is taken."""

import json
import shutil
from pathlib import Path

import pytest

from blade_tune.selection import ensemble as choice
from blade_tune.selection.greedy import OutOfBagEnsemble
from blade_tune.selection.statistics import Comparison
from tests.cli.combined import is_stored
from tests.cli.program import call, do
from tests.cli.test_classical import recommended, write_histories

NAMES = "tiny-item_knn,tiny-ials"
COMMAND = f"ensemble --study {NAMES} -q"


@pytest.fixture(scope="module")
def confirmed(tuned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which item_knn and ials are confirmed."""
    folder = shutil.copytree(tuned, tmp_path_factory.mktemp("confirmed") / "copy")
    for study in NAMES.split(","):
        do(folder, f"confirm --study {study} --top 1 --seeds 2 -q")
    return folder


@pytest.fixture
def confirmed_copy(confirmed: Path, tmp_path: Path) -> Path:
    """The same for a test that changes it."""
    return shutil.copytree(confirmed, tmp_path / "copy")


def test_every_candidate_has_a_row(confirmed: Path):
    """With its model, seed, figure alone and how often it was drawn; the verdict is below, and nothing is stored."""
    said = json.loads(do(confirmed, f"{COMMAND} -f json").out)
    assert [row["run"] for row in said["runs"]] == [
        "tiny-item_knn.runs:0",
        "tiny-ials.runs:0",
        "tiny-ials.runs:1",
    ]
    drawn = {row["run"]: row["drawn"] for row in said["runs"] if row["drawn"]}
    assert (drawn, said["exported"]) == (said["members"], None)
    assert said["low"] <= said["difference"] <= said["high"]
    assert said["is_taken"] == (said["low"] > 0 and len(drawn) > 1)
    table = do(confirmed, COMMAND).out
    assert "aken" in table.splitlines()[-1]
    assert not is_stored(confirmed, f"{NAMES.partition(',')[0]}.ensemble")


def test_one_that_is_not_taken_is_not_written(confirmed: Path, tmp_path: Path):
    """Of one run there is no ensemble: its row is printed, then code 6 with the command that writes the run alone."""
    ended = call(
        *f"ensemble --study tiny-item_knn --out {tmp_path / 'out'} -q".split(), cwd=confirmed
    )
    assert (ended.code, ended.err.count("\n")) == (6, 1)
    assert "tiny-item_knn.runs:0" in ended.out
    assert "`blade-tune export-best --study tiny-item_knn` writes the best" in ended.err
    assert not (tmp_path / "out").exists()


def test_one_that_is_taken_is_a_bundle(
    confirmed_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It recommends like any other, and its study is reproduced and exported again like any other."""
    better = OutOfBagEnsemble(0.3, 0.1, Comparison(0.2, 0.1, 0.3, 0.001))
    monkeypatch.setattr(choice, "out_of_bag_ensemble", lambda *_: better)
    said = json.loads(do(confirmed_copy, f"{COMMAND} --out {tmp_path / 'best'} -f json").out)
    study = said["exported"]["study"]
    assert study == "tiny-item_knn.ensemble"
    assert said["exported"]["valid"]["ndcg@10"] == pytest.approx(said["at_hand"]["ensemble"])
    write_histories(tmp_path)
    assert {user: len(items) for user, items in recommended(tmp_path).items()} == {"1": 5, "2": 5}
    again = json.loads(do(confirmed_copy, f"reproduce 0 -s {study} -f json").out)
    assert again["largest_difference"] == 0.0
    assert do(confirmed_copy, f"ledger -s {study} -f json").code == 0
    assert "no winner is confirmed" not in do(confirmed_copy, f"export-best -s {study} -q").err
    assert (confirmed_copy / "results" / study / "best" / "weights.safetensors").exists()
