"""A study, its ledger, its confirmed runs and its bundle as an earlier version left them: they open and say the same.

tests/before/ holds the results of 2026-11-30 (the tiny study under the shared recipe: `run`, `confirm --top 2 --seeds 2
--test`, `export-best`), and what that version printed of them.
"""

import csv
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import Ended, call

BEFORE = Path(__file__).parents[1] / "before"
ANSWERS: dict[str, Any] = json.loads((BEFORE / "answers.json").read_text())
READING = [words for words in ANSWERS if " " in words]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results as they were; tests of this module only read them."""
    folder = tmp_path_factory.mktemp("before")
    with zipfile.ZipFile(BEFORE / "results.zip") as archive:
        archive.extractall(folder / "results")
    (folder / "studies").mkdir()
    (folder / "results" / "before.yaml").rename(folder / "studies" / "before.yaml")
    return folder


@pytest.fixture
def place(kept: Path, tmp_path: Path) -> Path:
    return shutil.copytree(kept, tmp_path / "place")


def said(place: Path, *words: str) -> Ended:
    ended = call(*words, cwd=place)
    assert ended.code == 0, ended.err
    return ended


def holds(now: Any, then: Any) -> bool:
    """Whether all that was said then is said now; there may be more."""
    if isinstance(then, dict):
        return isinstance(now, dict) and all(
            name in now and holds(now[name], value) for name, value in then.items()
        )
    if isinstance(then, list):
        return len(now) == len(then) and all(map(holds, now, then))
    return bool(now == then)


@pytest.mark.parametrize("words", READING)
def test_what_was_said_of_a_study_is_said_now(kept: Path, words: str) -> None:
    """Every value and every key; a later version may say more."""
    now = json.loads(said(kept, *words.split(), "-f", "json").out)
    assert holds(now, ANSWERS[words])


def test_the_ledger_is_whole_and_goes_on(place: Path) -> None:
    """A further opening of the test rows is its next line."""
    said(place, "export-best", "--study", "before", "--out", "again", "--device", "cpu", "-q")
    lines = json.loads(said(place, "ledger", "--study", "before", "-f", "json").out)
    then = ANSWERS["ledger --study before"]
    assert holds(lines[: len(then)], then)
    assert [line["command"] for line in lines[len(then) :]] == ["export-best"]


def test_a_study_goes_on(place: Path) -> None:
    """With more trials, beside those of before."""
    said(
        place,
        "run",
        "--study",
        "before",
        "--trials",
        "4",
        "--device",
        "cpu",
        "--workers",
        "1",
        "-q",
    )
    rows = json.loads(said(place, "trials", "--study", "before", "-f", "json").out)
    assert holds(rows[:3], ANSWERS["trials --study before"])
    assert [row["state"] for row in rows] == ["complete"] * 4


def test_its_confirmation_stands(place: Path) -> None:
    """Confirmed again, nothing is trained, and no test row is ranked again."""
    said(
        place,
        "confirm",
        "--study",
        "before",
        "--top",
        "2",
        "--seeds",
        "2",
        "--test",
        "--device",
        "cpu",
        "-q",
    )
    runs = json.loads(said(place, "trials", "--study", "before.runs", "-f", "json").out)
    assert holds(runs, ANSWERS["trials --study before.runs"])
    lines = json.loads(said(place, "ledger", "--study", "before", "-f", "json").out)
    assert len(lines) == len(ANSWERS["ledger --study before"])


def test_it_is_reported_and_examined(place: Path) -> None:
    """A report is made of it, and `doctor` finds nothing wrong with its files."""
    said(place, "report", "--study", "before")
    assert "problem" not in said(place, "doctor", "--results", "results").out


def test_a_bundle_recommends_what_it_did(kept: Path, tmp_path: Path) -> None:
    """The same items in the same order; scores to the last bits that processors may differ in."""
    (tmp_path / "users.csv").write_text(ANSWERS["users"])
    bundle = kept / "results" / "before" / "best"
    said(
        tmp_path,
        "recommend",
        "--bundle",
        str(bundle),
        "--users",
        "users.csv",
        "-k",
        "3",
        "--out",
        "found.csv",
        "-q",
    )
    now, then = (
        list(csv.DictReader(text.splitlines()))
        for text in ((tmp_path / "found.csv").read_text(), ANSWERS["found"])
    )
    assert [[row["user"], row["item"]] for row in now] == [
        [row["user"], row["item"]] for row in then
    ]
    assert [float(row["score"]) for row in now] == pytest.approx(
        [float(row["score"]) for row in then], rel=1e-5
    )
