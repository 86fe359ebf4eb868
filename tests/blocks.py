"""The blocks of commands and code in README.md, CONTRIBUTING.md and docs/, and which of them no test runs.

A block is named by its page and its mark, a comment in the line above it: `<!-- first walk -->`. Blocks of one mark are
one walk, in their order. Whoever runs or reads one calls `blocks` or `words` with page and mark in quotes, and
tests/pages/test_blocks.py asks that some test does, or that it stands in EXCEPTED.
"""

import functools
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What is run, or is read by the code that reads such a file
LANGUAGES = frozenset({"sh", "bash", "console", "python", "yaml", "json"})
FENCE = re.compile(
    r"^(?:<!-- (?P<mark>[^>]+) -->\n)?(?P<indent> *)```(?P<language>\w+)[^\n]*\n(?P<words>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)
# Page and mark of what no test runs, and why; its commands are parsed nevertheless
EXCEPTED = {
    ("README.md", "install and run"): "downloads and installs packages",
    ("README.md", "test command"): "downloads and installs packages, and runs all tests",
    ("CONTRIBUTING.md", "checks"): "downloads and installs packages, and runs all tests",
    ("docs/tutorial.md", "install"): "downloads and installs packages",
    ("docs/clusters.md", "postgresql"): "changes a PostgreSQL server of the machine",
    ("docs/clusters.md", "slurm"): "needs a SLURM cluster",
    ("docs/clusters.md", "slurm script"): "needs a SLURM cluster",
    ("docs/clusters.md", "ray"): "needs a Ray cluster",
    (
        "docs/guides/shared-dashboard.md",
        "dashboard",
    ): "serves a team's PostgreSQL until it is ended",
    ("docs/data.md", "kuaisar"): "downloads 845 MB",
    ("docs/paper.md", "table"): "needs the paper's data, and days",
}


@dataclass(frozen=True)
class Block:
    """A block of a page."""

    page: str
    mark: str | None
    language: str
    words: str


def pages() -> list[str]:
    """README, CONTRIBUTING and all pages under docs/, as paths from the root."""
    docs = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
    return ["README.md", "CONTRIBUTING.md", *docs]


@functools.cache
def blocks_of(page: str) -> tuple[Block, ...]:
    """All blocks of a page that have one of the languages, in their order."""
    return tuple(read_blocks(page, (ROOT / page).read_text(encoding="utf-8")))


def read_blocks(page: str, text: str) -> Iterator[Block]:
    for found in FENCE.finditer(text):
        if found["language"] in LANGUAGES:
            words = textwrap.dedent(found["words"])
            yield Block(page, found["mark"], found["language"], words)


def blocks(page: str, mark: str) -> list[Block]:
    """The blocks of a page that have a mark."""
    found = [block for block in blocks_of(page) if block.mark == mark]
    assert found, f"{page} has no block under <!-- {mark} -->"
    return found


def words(page: str, mark: str) -> str:
    """The words of the one block of a page that has a mark."""
    [block] = blocks(page, mark)
    return block.words
