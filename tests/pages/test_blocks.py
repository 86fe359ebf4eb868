"""Every block of a page is run by a test that names it, or is excepted by name with a reason."""

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from blade_tune.cli.program import blade_tune
from tests.blocks import EXCEPTED, ROOT, Block, blocks_of, pages, read_blocks

READERS = {"blocks", "words"}
TESTS = ROOT / "tests"


def named(text: str) -> set[tuple[str, str]]:
    """Page and mark of each call of a reader in a module that imports one."""
    if "from tests.blocks import" not in text:
        return set()
    calls = [
        [each.value for each in node.args if isinstance(each, ast.Constant)]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in READERS
    ]
    return {(page, mark) for page, mark in calls}


def every_block() -> list[Block]:
    return [block for page in pages() for block in blocks_of(page)]


def test_every_block_is_run_or_excepted() -> None:
    """Each has a mark, and is named by a test or in EXCEPTED, and not by both; neither names what there is not."""
    run = set().union(*(named(path.read_text(encoding="utf-8")) for path in TESTS.rglob("*.py")))
    there = {(block.page, block.mark) for block in every_block()}
    without = [f"{block.page}: {block.words}" for block in every_block() if block.mark is None]
    assert without == [], "give each a mark, <!-- so -->, in the line above it"
    assert there - run - EXCEPTED.keys() == set(), "run it in a test, or name it in EXCEPTED"
    assert EXCEPTED.keys() - there == set(), "there is no such block any more"
    assert run & EXCEPTED.keys() == set(), "a test runs it, so it is no exception"


def test_what_is_a_block() -> None:
    """A fence of a language with the mark of the line above it, also within a list; other fences are none."""
    text = (
        "<!-- one -->\n```sh\na\n\nb\n```\n\n```python\nc\n```\n- d\n\n  ```yaml\n  e: 1\n  ```\n"
        "<!-- two -->\n\n```sh\nf\n```\n```\ng\n```\n```ini\nh\n```\n"
    )
    assert [(block.mark, block.language, block.words) for block in read_blocks("x.md", text)] == [
        ("one", "sh", "a\n\nb\n"),
        (None, "python", "c\n"),
        (None, "yaml", "e: 1\n"),
        (None, "sh", "f\n"),
    ]
    assert named('from tests.blocks import words\nwords("x.md", "one")') == {("x.md", "one")}
    assert named('words("x.md", "one")') == set()


def commands(text: str) -> list[list[str]]:
    """The words of each blade-tune command of a block."""
    lines = text.replace("\\\n", " ").splitlines()
    found = [re.search(r"(?:^|&& )\S*blade-tune (.*)", line) for line in lines]
    split = [shlex.split(each[1], comments=True) for each in found if each]
    return [words[:-1] if words[-1] == "&" else words for words in split]


@pytest.mark.parametrize(("page", "mark"), EXCEPTED)
def test_what_is_excepted_has_the_words_of_the_program(
    page: str, mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands, flags and values of what is not run are those that there are."""
    monkeypatch.chdir(tmp_path)
    for block in blocks_of(page):
        for words in commands(block.words) if block.mark == mark else ():
            command: Any = blade_tune
            context = None
            while hasattr(command, "resolve_command"):
                context = command.make_context("blade-tune", list(words), parent=context)
                rest = [*context._protected_args, *context.args]
                _, command, words = command.resolve_command(context, rest)
            command.make_context(command.name, list(words), parent=context)
