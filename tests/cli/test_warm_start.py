"""`run --warm-start`: what is said, what is stored, and where its origin can be read."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import TINY, call, do, write_study

DATA = {**TINY["data"], "name": "later", "seed": 5, "num_users": 50}
SPACE = {
    **TINY["space"],
    "train": {"batch_size": 16, "learning_rate": {"float": [1e-3, 2e-3], "log": True}},
}
RUN = "run --study later --warm-start tiny"


@pytest.fixture(scope="module")
def warm(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished study, and beside it one of other data and another space that began with its best."""
    folder = shutil.copytree(finished, tmp_path_factory.mktemp("warm") / "copy")
    write_study(folder / "studies" / "later.yaml", data=DATA, space=SPACE)
    (folder / "said").write_text(do(folder, f"{RUN} --trials 1").err)
    return folder


def rows(folder: Path, study: str) -> list[dict[str, str]]:
    printed = do(folder, f"trials --study {study} -f csv").out
    return list(csv.DictReader(io.StringIO(printed)))


def best(folder: Path) -> dict[str, str]:
    return max(rows(folder, "tiny"), key=lambda row: float(row["value"]))


def shown(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(do(folder, "show 0 --study later -f json").out)
    return facts


def test_the_best_is_tried_first_and_the_run_says_so(warm: Path):
    """A line names the trial there, its figure and data, and what differs; the others are named as not taken."""
    there, [here] = best(warm), rows(warm, "later")
    assert here["tag"] == "warm 1"
    for name in ("model.alpha", "model.augmentation", "model.mask_exponent"):
        assert here[name] == there[name]
    lines = (warm / "said").read_text().splitlines()
    assert lines[0].startswith(
        f"warm 1: trial {there['number']} of study tiny (ndcg@10 {float(there['value']):.4f}, on tiny); "
    )
    assert "train.batch_size 32 there, 16 here" in lines[0]
    assert sum(line.startswith("not taken: trial") for line in lines) == 2


def test_show_has_the_origin(warm: Path):
    """Study, trial, value there, data, and when."""
    facts = shown(warm)["metadata"]
    there = best(warm)
    assert (facts["study"], str(facts["trial"]), facts["data"]) == ("tiny", there["number"], "tiny")
    assert facts["value"] == float(there["value"])
    assert there["ended"].startswith(facts["ended"][:16])
    assert facts["taken"] >= facts["ended"]
    assert facts["changed"]["train.batch_size"] == [32, 16]


def test_the_same_command_adds_nothing(warm: Path, tmp_path: Path):
    """A finished study stays as it is, exit code 0; more trials go on without another warm start."""
    folder = shutil.copytree(warm, tmp_path / "copy")
    again = do(folder, f"{RUN} --trials 1")
    assert "warm" not in again.err
    assert len(rows(folder, "later")) == 1
    assert "warm" not in do(folder, f"{RUN} --trials 2").err
    assert [row["tag"] for row in rows(folder, "later")] == ["warm 1", ""]


def test_the_dry_run_shows_them_with_their_origin(warm: Path, tmp_path: Path):
    """What was taken, and what would be; nothing is stored."""
    folder = shutil.copytree(warm, tmp_path / "copy")
    told = do(folder, f"{RUN}:3 --trials 99 --dry-run").out
    [row] = [line for line in told.splitlines() if line.startswith("warm ")]
    assert row.split()[:2] == ["warm", "1"]
    assert row.rstrip().endswith("stored study")
    told = do(folder, f"{RUN}:4 --trials 99 --dry-run").out
    named = [line for line in told.splitlines() if line.startswith("warm ")]
    assert [line.rstrip().endswith("--warm-start tiny") for line in named] == [False, True, True]
    assert all("of study tiny (ndcg@10 0." in line for line in named)
    assert len(rows(folder, "later")) == 1
    shutil.rmtree(folder / "results" / "later")
    told = do(folder, f"{RUN} --model blade --epochs 1 --dry-run").out
    assert "differs: space.train.max_epochs" in told


def test_the_bundle_and_the_report_name_the_origin(warm: Path, tmp_path: Path):
    """Where the winner is a warm start, its provenance, its model card and the report's table say of what."""
    folder = shutil.copytree(warm, tmp_path / "copy")
    do(folder, "export-best --study later -q")
    bundle = folder / "results" / "later" / "best"
    stored = json.loads((bundle / "provenance.json").read_text())["warm_start"]
    assert stored == {
        name: fact for name, fact in shown(folder)["metadata"].items() if name != "stored"
    }
    origin = f"trial {best(folder)['number']} of study tiny (ndcg@10 "
    assert f"- warm start: from {origin}" in (bundle / "README.md").read_text()
    do(folder, "report --study later")
    tables = (folder / "results" / "later" / "report" / "tables.md").read_text()
    tables = tables.replace("\\", "")  # of Markdown's escapes
    assert "| 0 (warm 1)" in tables
    assert f"warm 1: {origin}" in tables
    # And the bundle is a source itself
    said = do(folder, "run --study tiny --warm-start results/later/best --add 1").err
    assert said.startswith("warm 1: the bundle of study later, trial 0 (ndcg@10 ")
    do(folder, "export-best --study tiny -q")
    other = json.loads((folder / "results" / "tiny" / "best" / "provenance.json").read_text())
    assert other["warm_start"] is None or other["warm_start"]["study"] == "later"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (
            "--warm-start nope",
            2,
            "--warm-start nope: no study 'nope' is stored. Known: later, tiny.",
        ),
        ("--warm-start later", 2, "--warm-start later: is the study itself; name another one."),
        ("--warm-start tiny:0", 2, "the number of configurations must be at least 1, got 0."),
        ("--warm-start tiny --model sasrec", 2, "is of blade, and study later-sasrec is of sasrec"),
        ("--warm-start x/tiny", 4, "sqlite:///x/studies.db has no studies; a source is STUDY, "),
        ("--warm-start tiny:4 --trials 1", 2, "study later has its 1 scored trials; --add K makes"),
    ],
)
def test_what_cannot_be_taken_is_one_line(warm: Path, words: str, code: int, told: str):
    """Nothing is stored, and the line names the way out."""
    ended = call(*f"run --study later {words}".split(), cwd=warm)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith("Error: --warm-start ")
    assert told in ended.err
    assert len(ended.err.splitlines()) == 1
    assert len(rows(warm, "later")) == 1
