"""What pages do with the paper's data, on a split of a few made-up users."""

import json
from pathlib import Path

import pytest

from tests.blocks import words
from tests.cli.program import do
from tests.pages.small import CLICKS, made_up, write_study
from tests.shell import type_in

NOT_TAKEN = 6  # of an ensemble whose lead is within chance, as the page says
CONFIRM = "confirm --top 1 --seeds 3 -q --study"


@pytest.mark.slow
def test_the_papers_data_from_a_look_to_a_comparison(work: Path) -> None:
    """Each command of docs/data.md does its part, as those of docs/selection.md do with what is there then."""
    type_in(words("docs/data.md", "paper's data"), work)
    results = work / "results"
    assert (results / "qk-video" / "best" / "weights.safetensors").is_file()
    assert (results / "qk-video-combination").is_dir()

    type_in(words("docs/selection.md", "compare"), work)
    said = type_in(words("docs/selection.md", "power"), work)
    assert "blade" in said.stdout
    type_in(words("docs/selection.md", "told"), work)
    told = json.loads(do(work, "ledger --study qk-video.compare-blade -f json").out)
    assert "mode" in {row.get("target_set") for row in told}

    # Two studies that are confirmed, and a comparison of the demo
    do(work, f"run --study qk-video --model sasrec --data {work.parent}/home/data/qk-video -q")
    for name in ("qk-video-ials", "qk-video-sasrec"):
        do(work, f"{CONFIRM} {name}")
    write_study(work, "demo", made_up("demo", CLICKS))
    do(work, "compare --study demo --models item_knn,ials --trials 1 --top 1 --seeds 3 -q")
    said = type_in(words("docs/selection.md", "ensembles"), work, code=NOT_TAKEN)
    assert "Not taken" in said.stderr


@pytest.mark.slow
def test_several_machines_of_one_database(work: Path, postgres_url: str) -> None:
    """The commands of docs/clusters.md by hand, with a PostgreSQL that the environment names."""
    type_in(words("docs/clusters.md", "by hand"), work, {"BLADE_TUNE_STORAGE": postgres_url})
    assert not (work / "results" / "studies.db").exists()
