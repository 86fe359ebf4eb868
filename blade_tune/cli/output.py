"""Printing of results on stdout: tables for people, JSON and CSV for programs, Markdown and LaTeX for papers."""

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from blade_tune.config import flatten
from blade_tune.printable import printable_lines

if TYPE_CHECKING:
    from blade_tune.cli.terminal_table import TableColumn
    from blade_tune.report.text_tables import Table

# From this size on a number is printed without digits behind the point
LARGE = 1000
# How `less` shows a table: not at all where it fits the screen, in colors, and left on the screen at the end
PAGER_OPTIONS = "FRX"


def print_rows(rows: Sequence[Mapping[str, Any]], form: str, least: Collection[str] = ()) -> None:
    """Print rows in the form "table", "json" or "csv".

    Args:
        rows: the rows, whose columns stand in the order of importance.
        form: the form.
        least: names of columns that a narrow terminal leaves out before others, the least important first.
    """
    if form == "json":
        click.echo(json.dumps(list(rows), indent=2))
    elif form == "csv":
        from blade_tune.trial.curves import as_csv

        text = as_csv(rows)
        click.echo(printable_lines(text) if sys.stdout.isatty() else text, nl=False)
    else:
        _show(partial(_table, _columns(rows), least))


def print_facts(facts: Mapping[str, Any], form: str) -> None:
    """Print one mapping: nested in JSON; in a table or CSV with a row for each value, under dotted names."""
    rows = [{"fact": name, "value": value} for name, value in flatten(facts).items()]
    if form == "json":
        click.echo(json.dumps(facts, indent=2))
    elif form == "csv":
        print_rows(rows, form)
    else:
        _show(partial(_table, _columns(rows), (), whole=True))


def print_tables(tables: "Sequence[Table]", form: str, least: Collection[str] = ()) -> None:
    """Print tables of means: for people in the form "table", for papers as "markdown" or "latex".

    Args:
        tables: the tables.
        form: the form.
        least: names of columns that a narrow terminal leaves out before others, the least important first.
    """
    from blade_tune.report import text_tables

    if form == "table":
        paragraphs = [
            paragraph
            for table in tables
            for paragraph in _paragraphs(table, least, styled=_styled())
        ]
        _show(lambda width: "".join(paragraph(width) for paragraph in paragraphs))
        return
    write = text_tables.markdown if form == "markdown" else text_tables.latex
    click.echo("\n".join(map(write, tables)), nl=False)


def print_words(*sentences: str, err: bool = False) -> None:
    """Print sentences, each on lines of its own that break between words on a terminal, and on one line in a pipe.

    Args:
        sentences: the sentences.
        err: whether to print on stderr.
    """
    for sentence in sentences:
        if err:
            click.echo(_folded(sentence, _width(err=True)), nl=False, err=True)
        else:
            _show(partial(_folded, sentence))


def page_width(widest: int) -> int:
    """Return the width of a page of text on stdout: that of the terminal, but no more than asked for."""
    return min(_width() or widest, widest)


def _paragraphs(
    table: "Table", least: Collection[str], *, styled: bool
) -> "list[Callable[[int | None], str]]":
    """Return what writes a table of means in a width: its caption, the table with the best bold, and its footnotes."""
    from blade_tune.cli.terminal_table import TableColumn
    from blade_tune.report.text_tables import PLAIN, STYLED, texts

    rows = texts(table, STYLED if styled else PLAIN)
    columns = [
        TableColumn(header, [row[index] for row in rows], is_number)
        for index, (header, is_number) in enumerate(
            zip(table.columns, table.has_numbers, strict=True)
        )
    ]
    caption = [partial(_folded, f"{table.caption}\n")] if table.caption else []
    notes = [partial(_folded, printable_lines(note)) for note in table.footnotes]
    space = partial(_folded, "")
    return [*caption, partial(_table, columns, least), space, *notes, space]


def _folded(text: str, width: int | None) -> str:
    """Return lines that break between words, so that no number is broken; without a width they stay as they are."""
    lines = text.split("\n")
    if width is not None:
        fold = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
        lines = [fold.fill(line) for line in lines]
    return "\n".join(lines) + "\n"


def _columns(rows: Sequence[Mapping[str, Any]]) -> "list[TableColumn]":
    """Return columns in the order in which rows first name them, without those that are empty in every row."""
    from blade_tune.cli.terminal_table import TableColumn

    names: dict[str, None] = {}
    for row in rows:
        names |= dict.fromkeys(row)
    columns: list[TableColumn] = []
    for name in names:
        cells = [_cell(row.get(name)) for row in rows]
        if any(cells):
            is_number = all(isinstance(row.get(name), int | float | None) for row in rows)
            # The first column says what a row is about
            columns.append(TableColumn(name, cells, is_number, is_whole=not columns))
    return columns


def _table(
    columns: "Sequence[TableColumn]",
    least: Collection[str],
    width: int | None,
    *,
    whole: bool = False,
) -> str:
    """Return a table of a width, with a line on the columns that it has no room for; in a pipe it is never folded.

    Args:
        columns: the columns, in the order of importance.
        least: names of columns that go before others.
        width: characters of a line; None in a pipe.
        whole: whether words that are longer than a line are broken; else they are cut.
    """
    if not columns:
        return ""
    from blade_tune.cli.terminal_table import layout, render

    shown, gone = layout(columns, width, least)
    text = render(shown, width, styled=_styled(), whole=whole)
    if gone:
        names = ", ".join(column.header for column in gone)
        hint = (
            f"Not shown at {width} columns: {names}. A wider terminal, -f csv and -f json have all."
        )
        text += _folded(hint, width)
    return text


def _styled() -> bool:
    """Whether stdout is a terminal, which shows bold and underlined text."""
    return sys.stdout.isatty()


def _width(*, err: bool = False) -> int | None:
    """Return the width of the terminal; None in a pipe, whose lines are as long as they are."""
    stream = sys.stderr if err else sys.stdout
    return shutil.get_terminal_size().columns if stream.isatty() else None


def _show(write: "Callable[[int | None], str]") -> None:
    """Print a text that is written for a width, page by page where it is longer than the terminal.

    Args:
        write: returns the text for a number of columns; None for lines that are as long as they are.
    """
    text = write(_width())
    lines = shutil.get_terminal_size().lines
    if sys.stdout.isatty() and text.count("\n") >= lines:
        os.environ.setdefault("LESS", PAGER_OPTIONS)
        click.echo_via_pager(text, color=True)
    else:
        click.echo(text, nl=False)


def _cell(value: Any) -> str:
    """Return a value with four significant digits where it is a float, and as it is otherwise."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if LARGE <= abs(value) < float("inf") else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value))
    return printable_lines(str(value))
