"""Studies whose baselines are left out: nothing is compared, and every place says why."""

import json
from pathlib import Path

import optuna_dashboard
import pytest

from blade_tune.training import baselines
from tests.cli.program import do, write_study
from tests.cli.test_verdicts import load, page, row_of_note, verdicts

# --- where there is nothing to compare with ---


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study whose data has too many items for the baseline; what its run said is in run.txt.

    Workers are other processes: they read what `data stats` has measured here.
    """
    folder = tmp_path_factory.mktemp("without")
    write_study(folder / "studies" / "tiny.yaml", search={"trials": 1})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "MOST_ITEMS", 10)
        (folder / "stats.json").write_text(do(folder, "data stats -s tiny -f json").out)
        (folder / "run.txt").write_text(do(folder, "run -s tiny").err)
        (folder / "export.json").write_text(
            do(folder, "export-best -s tiny --rule best -f json -q").out
        )
    return folder


def test_a_baseline_that_is_left_out_is_shown_with_the_reason(without: Path):
    """`data stats`, a run, its status and its note say why; popularity, which is cheap, is there."""
    why = "40 items are more than 10"
    measured = json.loads((without / "stats.json").read_text())["baselines"]["valid"]
    assert measured["item_knn"] == why
    assert 0 < measured["popularity"]["ndcg@10"] < 1
    assert f" item_knn=none ({why})\n" in (without / "run.txt").read_text()
    assert json.loads(do(without, "status -s tiny -f json").out)["baselines"]["item_knn"] == why
    assert f" item_knn={why}\n" in do(without, "status -s tiny --watch").out
    assert f"item_knn {why}" in row_of_note(without, "tiny", "Untuned baselines")


def test_without_a_baseline_nobody_is_judged(without: Path):
    """There is no verdict anywhere, and the model card says what is missing."""
    assert json.loads(do(without, "status -s tiny -f json").out)["verdict"] is None
    exported = json.loads((without / "export.json").read_text())
    assert (set(exported["baselines"]), exported["verdict"]) == (
        {"popularity", "popularity_told"},
        None,
    )
    card = (without / "results" / "tiny" / "best" / "README.md").read_text(encoding="utf-8")
    assert "No baseline says what an untuned model of co-occurrence reaches here" in card
    note = optuna_dashboard.get_note(load(without, "tiny").study)
    watched = do(without, "status -s tiny --watch").out
    assert [
        *map(
            verdicts,
            ((without / "run.txt").read_text(), watched, note, card, page(without, "tiny")),
        )
    ] == [set()] * 5


def test_a_card_names_the_baselines_beside_its_figures(without: Path):
    """One that was not measured is not said to stand there."""
    card = (without / "results" / "tiny" / "best" / "README.md").read_text(encoding="utf-8")
    assert "| popularity   | popularity_told   |\n" in card
    assert "item_knn" not in card.partition("The table also has untuned models")[2]
