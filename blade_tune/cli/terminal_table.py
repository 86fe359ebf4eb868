"""Layout of a table for a terminal: no number is broken, text folds at words, and columns without room are left out.

A table has natural widths where nobody looks at a screen, so that a line of a pipe is a row. On a screen headers fold
first, then text; what still has no room goes, the least important column first, and a line says which ones went.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from rich.console import Console
from rich.table import Table
from rich.text import Text

GAP = 2  # spaces between two columns
LEAST_TEXT = 12  # width at which a column of text is no narrower any more
LONGEST_WORD = 20  # of text that a column has room for in any case
WIDEST = 10_000  # of lines that nobody folds
LINES = 100  # of a console that prints to a text, and whose height is all the same
# A header may be folded behind these, and a name that leaves no room for what it names.
JOINTS = re.compile(r"(?<=[_ ])|(?<=\.)(?!\d)")


@dataclass
class TableColumn:
    """A column: its header, its cells, and the width that it is given.

    Args:
        header: name of the column.
        cells: text of each row; marks of ANSI styles take no room.
        is_number: whether the cells are numbers, which stand to the right and are never folded.
        is_whole: whether the cells are names, which are folded at their joints and only if there is no other way.
    """

    header: str
    cells: Sequence[str]
    is_number: bool = False
    is_whole: bool = False
    width: int = field(init=False, default=0)
    folds_names: bool = field(init=False, default=False)

    @cached_property
    def natural(self) -> int:
        """The width at which nothing is folded."""
        return max(len(self.header), self._widest)

    @property
    def least(self) -> int:
        """The width below which a number would break or text would be no use."""
        header = _longest_piece(self.header)
        if self.folds_names:
            return max(header, LEAST_TEXT, *map(_longest_piece, self.cells))
        if self.is_number or self.is_whole:
            return max(self._widest, header)
        words = [len(word) for text in self._texts for word in text.plain.split()]
        longest = min(max(words, default=0), LONGEST_WORD)
        return max(min(self._widest, LEAST_TEXT), longest, header)

    @property
    def folded_header(self) -> str:
        """The header in lines that are as wide as the column, broken at its joints."""
        return _at_joints(self.header, self.width)

    @property
    def folded_cells(self) -> Sequence[str]:
        """The cells, names broken at their joints where there was no other way."""
        if not self.folds_names:
            return self.cells
        return [_at_joints(cell, self.width) for cell in self.cells]

    @cached_property
    def _texts(self) -> Sequence[Text]:
        """The cells without marks of styles; of thousands of rows that takes a while, and is done once."""
        return [Text.from_ansi(cell) for cell in self.cells]

    @cached_property
    def _widest(self) -> int:
        return max((text.cell_len for text in self._texts), default=0)


def layout(
    columns: Sequence[TableColumn], width: int | None, least: Collection[str] = ()
) -> tuple[list[TableColumn], list[TableColumn]]:
    """Give columns their widths, and choose those that have no room.

    Args:
        columns: the columns, the most important first; the first one always stays.
        width: characters of a line; None for as many as there are.
        least: headers of columns that go before others, the least important first.

    Returns:
        The columns that are shown, and those that are left out, both in order.
    """
    if width is None:
        for column in columns:
            column.width, column.folds_names = column.natural, False
        return list(columns), []
    columns[0].folds_names = False
    if columns[0].is_whole:
        columns[0].folds_names = sum(column.least for column in columns[:2]) + GAP > width
    for column in columns:
        column.width = column.least
    shown = list(columns)
    going = [column for name in least for column in columns if column.header == name]
    going += [column for column in reversed(columns) if column not in going]
    while len(shown) > 1 and _total(shown) > width:
        gone = going.pop(0)
        if gone is not columns[0]:
            shown.remove(gone)
    # What is left of the line goes to those that lack the most
    room = width - _total(shown)
    while room > 0:
        narrowest = max(shown, key=lambda column: column.natural - column.width)
        if narrowest.natural == narrowest.width:
            break
        narrowest.width += 1
        room -= 1
    return shown, [column for column in columns if column not in shown]


def _longest_piece(text: str) -> int:
    """Return how long the longest part of a text between two joints is."""
    return max(len(piece.rstrip()) for piece in JOINTS.split(text))


def _at_joints(text: str, width: int) -> str:
    """Return a text in lines of a width, broken at its joints."""
    lines = [""]
    for piece in JOINTS.split(text):
        if len((lines[-1] + piece).rstrip()) > width and lines[-1]:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def _total(columns: Sequence[TableColumn]) -> int:
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)


def render(columns: Sequence[TableColumn], width: int | None, *, styled: bool, whole: bool) -> str:
    """Return a table as text.

    Args:
        columns: the columns, with their widths.
        width: characters of a line; None for as many as there are.
        styled: whether to mark headers and cells as ANSI styles do.
        whole: whether words that are longer than a line are broken; else they are cut and end with an ellipsis.
    """
    table = Table(box=None, pad_edge=False, header_style="bold" if styled else "")
    for column in columns:
        table.add_column(
            Text(column.folded_header),
            justify="right" if column.is_number else "left",
            width=min(column.width, width or column.width),
            no_wrap=column.is_number or (column.is_whole and not column.folds_names),
            overflow="fold" if whole else "ellipsis",
        )
    for row in zip(*(column.folded_cells for column in columns), strict=True):
        table.add_row(*map(Text.from_ansi, row))
    console = Console(
        width=width or WIDEST,
        height=LINES,
        force_terminal=styled,
        color_system="standard" if styled else None,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"
