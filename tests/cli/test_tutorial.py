"""The tutorial, word for word: its blocks are run one after the other, those of Python in one interpreter."""

import json
import re
import sys
from pathlib import Path

import pytest

from blade_tune import open_study
from tests.cli.program import run_as_reader, type_in
from tests.cli.test_dashboard import free_port

ROOT = Path(__file__).parents[2]


def blocks() -> list[tuple[str, str]]:
    """The language and the words of each block that is run."""
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    return re.findall(r"<!-- tutorial -->\n```(sh|python)\n(.*?)```", page, re.DOTALL)


@pytest.mark.slow
def test_the_tutorial_from_a_log_to_a_served_model(tmp_path: Path) -> None:
    """Every block does its part; only the port is another, so that tests may run beside each other."""
    before: list[str] = []
    for language, words in blocks():
        if language == "python":
            before.append(words)
            continue
        if before:
            run_as_reader([sys.executable, "-c", "".join(before)], tmp_path)
            before.clear()
        type_in(with_port(words, free_port()), tmp_path)

    # What the blocks leave
    answer = json.loads((tmp_path / "answer.json").read_text())
    assert len(answer["recommendations"]["somebody"]) == 5
    assert "Plotly" in (tmp_path / "history.html").read_text(encoding="utf-8")
    study = open_study("shop", results=tmp_path / "results")
    assert study.status()["scored"] == 3
    assert len(study.stored.ledger.openings()) == 1


def with_port(words: str, port: int) -> str:
    return words.replace("8090", str(port))


def test_every_block_but_the_installation_is_run() -> None:
    """No block of the page is left out by a mark that is missing."""
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    assert page.count("\n```sh\n") + page.count("\n```python\n") == len(blocks()) + 1
