"""The tutorial, word for word: its blocks are run one after the other, those of Python as in one notebook."""

import json
from pathlib import Path

import pytest

from blade_tune import open_study
from tests.blocks import blocks, words
from tests.cli.test_dashboard import free_port
from tests.pages.small import write
from tests.shell import type_in, type_in_python

SPACE = {
    "model": {"embedding_size": 8, "max_length": 8, "num_blocks": 1, "alpha": {"float": [0.0, 1.0]}}
}


@pytest.mark.slow
def test_the_tutorial_from_a_log_to_a_served_model(tmp_path: Path) -> None:
    """Every block does its part; only the port is another, and the space of the study's models a smaller one."""
    write(tmp_path / "search_spaces" / "blade-any.yaml", SPACE)
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

    # What docs/bundles.md and docs/serving.md do with the bundle
    type_in(words("docs/bundles.md", "recommend"), tmp_path)
    assert (tmp_path / "recommendations.parquet").is_file()
    type_in_python(words("docs/bundles.md", "in python"), tmp_path)
    url = f"localhost:{(port := free_port())}/"
    wait = f"curl -s --retry 50 --retry-connrefused --retry-delay 1 {url}health > health.json"
    serve, ask = words("docs/serving.md", "serve"), words("docs/serving.md", "request")
    said = type_in(f"{serve.rstrip()} &\n{wait}\n{ask}kill %1".replace("8090", str(port)), tmp_path)
    assert json.loads(said.stdout).keys() == json.loads(words("docs/serving.md", "answer")).keys()
