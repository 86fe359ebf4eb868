"""Tables in a terminal: whatever the width, no number breaks, the first column stays, and what is left out is named."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blade_tune.cli.terminal_table import GAP, TableColumn, layout, render

NUMBERS = st.floats(-1e3, 1e3).map(lambda number: f"{number:.4g}")
WORDS = st.text("abcde ", min_size=0, max_size=40)
HEADERS = st.from_regex(r"[a-z]{1,9}([._ ][a-z]{1,9}){0,2}", fullmatch=True)
WIDTHS = (60, 80, 120)


@st.composite
def tables(draw: st.DrawFn) -> list[TableColumn]:
    """Columns of numbers and of text, of one length."""
    num_rows = draw(st.integers(1, 4))
    headers = draw(st.lists(HEADERS, min_size=1, max_size=12, unique=True))
    columns = []
    for header in headers:
        is_number = draw(st.booleans())
        cells = draw(
            st.lists(NUMBERS if is_number else WORDS, min_size=num_rows, max_size=num_rows)
        )
        columns.append(TableColumn(header, cells, is_number))
    return columns


@settings(max_examples=40)
@given(columns=tables(), width=st.sampled_from(WIDTHS))
def test_no_number_breaks_at_any_width(columns: list[TableColumn], width: int) -> None:
    """Each number of a column that is shown stands whole on the first line of its row, and no line is too long."""
    shown, gone = layout(columns, width)
    text = render(shown, width, styled=False, whole=False)
    assert all(len(line) <= width for line in text.splitlines())
    for column in shown:
        if column.is_number:
            for cell in column.cells:
                assert re.search(rf"(?<!\S){re.escape(cell)}(?!\S)", text)
    assert [*shown, *gone][0] is columns[0]
    assert sorted(column.header for column in columns) == sorted(
        column.header for column in [*shown, *gone]
    )


@settings(max_examples=40)
@given(columns=tables(), width=st.sampled_from(WIDTHS))
def test_nothing_is_left_out_that_has_room(columns: list[TableColumn], width: int) -> None:
    """Where columns are left out, the last one that went does not fit beside those that stayed."""
    shown, gone = layout(columns, width)
    if gone:
        # In the order of importance, the most important of those that went was the last to go
        least = sum(column.least for column in [*shown, gone[0]]) + GAP * len(shown)
        assert least > width


def test_a_pipe_gets_a_line_a_row() -> None:
    """Without a width every row is one line, and every column is there."""
    columns = [TableColumn("name", ["a b c " * 30]), TableColumn("value", ["0.1"], is_number=True)]
    shown, gone = layout(columns, None)
    assert not gone
    assert render(shown, None, styled=False, whole=False).count("\n") == 2


def test_less_important_columns_go_first() -> None:
    """Columns that are named go before others, in their order; the rest goes from the right."""
    columns = [TableColumn(name, ["0.123456789"], is_number=True) for name in "abcdef"]
    shown, gone = layout(columns, 40, least=("b", "c"))
    assert [column.header for column in shown] == ["a", "d", "e"]
    assert [column.header for column in gone] == ["b", "c", "f"]


@pytest.mark.parametrize(
    ("header", "width", "folded"),
    [("learning_rate", 9, "learning_\nrate"), ("learning_rate", 13, "learning_rate")],
)
def test_headers_fold_at_their_joints(header: str, width: int, folded: str) -> None:
    """A header that is wider than its column goes on in another line."""
    column = TableColumn(header, ["0.1"], is_number=True)
    column.width = width
    assert column.folded_header == folded


def test_long_words_are_cut_or_broken_as_asked() -> None:
    """A word that is longer than its column ends with an ellipsis, or goes on in the next line with nothing lost."""
    columns = [TableColumn("name", ["x" * 100])]
    shown, _ = layout(columns, 30)
    assert "…" in render(shown, 30, styled=False, whole=False)
    assert render(shown, 30, styled=False, whole=True).count("x") == 100
