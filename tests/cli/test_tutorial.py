"""The tutorial, word for word: its blocks are run one after the other, those of Python as in one notebook."""

import json
from pathlib import Path

import pytest

from blade_tune import open_study
from tests.blocks import blocks
from tests.cli.test_dashboard import free_port
from tests.shell import type_in, type_in_python


@pytest.mark.slow
def test_the_tutorial_from_a_log_to_a_served_model(tmp_path: Path) -> None:
    """Every block does its part; only the port is another, so that tests may run beside each other."""
    names = None
    for block in blocks("docs/tutorial.md", "tutorial"):
        if block.language == "python":
            names = type_in_python(block.words, tmp_path, names)
        else:
            type_in(block.words.replace("8090", str(free_port())), tmp_path)

    # What the blocks leave
    answer = json.loads((tmp_path / "answer.json").read_text())
    assert len(answer["recommendations"]["somebody"]) == 5
    assert "Plotly" in (tmp_path / "history.html").read_text(encoding="utf-8")
    study = open_study("shop", results=tmp_path / "results")
    assert study.status()["scored"] == 3
    assert len(study.stored.ledger.openings()) == 1

