"""The tables of all commands at 60, 80 and 120 columns: no number breaks, and what is printed is what the rows have."""

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from blade_tune.cli import output
from blade_tune.cli.terminal_table import TableColumn
from tests.cli.program import do

WIDTHS = (60, 80, 120)
NUMBER = re.compile(r"(?<![\w.@+-])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
CONFIRM = "confirm --study tiny --top 2 --seeds 2 --test"
ABLATE = "ablate --study tiny --seeds 2 -q"
SWEEP = "sweep --study tiny --param model.alpha --values 0.5,1 -q"
COMPARE = "compare --study tiny --models item_knn,popularity --trials 2 --top 1 --seeds 2 -q"
# Each command that prints a table of what is stored, and some that make it
SHOWN = (
    "studies",
    "models",
    "space list",
    "data list",
    "run --study tiny --dry-run",
    "status --study tiny",
    "trials --study tiny",
    "show 0 --study tiny",
    f"{CONFIRM} -q",
    f"{CONFIRM} --told truth,mode -q",
    ABLATE,
    SWEEP,
    COMPARE,
    f"{COMPARE} --dry-run",
    "power --study tiny --difference 0.01",
    "ensemble --study tiny --top 2 --seeds 2 --draws 3 -q",
    "export-best --study tiny -q",
    "ledger --study tiny",
    "doctor",
    "space show blade",
    "space check blade --model blade",
    "data xray --study tiny -q",
)


class Terminals:
    """What commands print, in terminals of all widths and in a pipe (None), and the columns of their tables."""

    def __init__(self) -> None:
        self.texts: dict[int | None, str] = dict.fromkeys((*WIDTHS, None), "")
        self.columns: list[tuple[Sequence[Mapping[str, Any]], Sequence[TableColumn]]] = []

    def show(self, write: Callable[[int | None], str]) -> None:
        """Keep a text in every width."""
        for width in self.texts:
            self.texts[width] += write(width)


@pytest.fixture
def terminals(monkeypatch: pytest.MonkeyPatch) -> Terminals:
    """Stand in for the terminal of each command that the test runs."""
    kept = Terminals()
    made = output._columns

    def columns(rows: Sequence[Mapping[str, Any]]) -> Sequence[TableColumn]:
        found = made(rows)
        kept.columns.append((rows, found))
        return found

    monkeypatch.setattr(output, "_show", kept.show)
    monkeypatch.setattr(output, "_columns", columns)
    return kept


@pytest.fixture(scope="module")
def confirmed(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished study, confirmed and tested."""
    folder = shutil.copytree(finished, tmp_path_factory.mktemp("tables") / "copy")
    do(folder, f"{CONFIRM} -q")
    return folder


@pytest.mark.parametrize("words", SHOWN)
def test_a_table_has_the_numbers_of_its_rows_unbroken(
    confirmed: Path, terminals: Terminals, words: str
) -> None:
    """No line is too long; each number is one that a pipe has, where nothing is folded or left out, and rows have."""
    do(confirmed, words)
    whole = terminals.texts[None]
    assert whole
    assert not re.search(r"\*\*|\\_|\x1b", whole)  # Markdown, styles
    for width in WIDTHS:
        text = re.sub(r"Not shown at \d+ columns: [^.]*\.", "", terminals.texts[width])
        assert not [line for line in text.splitlines() if len(line) > width]
        assert set(NUMBER.findall(text)) <= set(NUMBER.findall(whole))
    for rows, columns in terminals.columns:
        for column in columns:
            for row, cell in zip(rows, column.cells, strict=True):
                assert_same(row.get(column.header), cell)


def assert_same(value: Any, cell: str) -> None:
    """A cell has a whole number or a text as it is, another number to four digits, and nothing where there is none."""
    if isinstance(value, float):
        assert float(cell) == pytest.approx(value, rel=6e-4)
    elif isinstance(value, int | str):
        assert cell == str(value)
    elif value is None:
        assert cell == ""
