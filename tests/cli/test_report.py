"""`blade-tune report`."""

import json
import re
from pathlib import Path

import pytest

from tests.cli.program import call

FILES = ["report.html", "tables.md", "tables.tex"]


def test_a_report_lies_beside_its_study(finished_copy):
    """It writes three files into RESULTS/STUDY/report, prints their paths, and says how the winner stands."""
    ended = call("report", "--study", "tiny", cwd=finished_copy)
    assert ended.code == 0
    assert re.fullmatch(
        r"Trial \d is the best of 3 scored trials: valid ndcg@10 0\.\d{4}; (not )?above untuned item_knn\S* .*; "
        r"it is the luckiest of them until fresh seeds confirm it\.\n",
        ended.err,
    )
    folder = Path("results", "tiny", "report")
    assert ended.out.splitlines() == [str(folder / name) for name in FILES]
    assert all((finished_copy / line).stat().st_size for line in ended.out.splitlines())


def test_a_report_goes_where_it_is_told(finished, tmp_path):
    """--out names another folder, which is made; an older report there is replaced."""
    for _ in range(2):
        assert (
            call("report", "--study", "tiny", "--out", str(tmp_path / "a" / "b"), cwd=finished).code
            == 0
        )
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == FILES


def test_a_report_changes_nothing_else(finished_copy):
    """Trials, budget and ledger are as they were."""
    before = call("trials", "--study", "tiny", "-f", "json", cwd=finished_copy).out
    assert call("report", "--study", "tiny", cwd=finished_copy).code == 0
    after = call("trials", "--study", "tiny", "-f", "json", cwd=finished_copy).out
    assert json.loads(before) == json.loads(after)
    assert not (finished_copy / "results" / "tiny" / "ledger.jsonl").exists()


def test_a_comparison_has_a_page_beside_its_tables(finished_copy):
    """It is named as the folder of its tables is; its searches are studies with pages of their own."""
    words = ["compare", "--study", "tiny", "--models", "item_knn,popularity", "--trials", "2"]
    assert call(*words, "--top", "1", "-q", cwd=finished_copy).code == 0
    ended = call("report", "--study", "tiny.compare", cwd=finished_copy)
    assert ended.code == 0
    assert ended.err.startswith("popularity has the highest mean of 2: valid ndcg@10 ")
    assert ended.err.endswith("which may be chance (p = 1).\n")
    folder = Path("results", "tiny.compare")
    assert ended.out.splitlines() == [str(folder / "report" / name) for name in FILES]
    assert (finished_copy / folder / "valid.md").exists()
    page = (finished_copy / folder / "report" / "report.html").read_text(encoding="utf-8")
    assert "--models item_knn,popularity --budget trials:2" in page
    ended = call("report", "--study", "tiny.comparison", cwd=finished_copy)
    assert ended.code == 2
    assert "Comparisons: tiny.compare." in ended.err


@pytest.mark.parametrize(
    "words", [["--study", "nothing"], ["--study", "tiny", "--results", "elsewhere"]]
)
def test_a_study_that_is_not_stored_is_refused(finished, words):
    """The error names it, and no folder is made."""
    ended = call("report", *words, cwd=finished)
    assert ended.code != 0
    assert ended.err.startswith("Error: ")
    assert not (finished / "results" / "nothing").exists()
    assert not (finished / "elsewhere").exists()
