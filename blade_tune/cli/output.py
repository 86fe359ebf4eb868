"""Printing of results on stdout: tables for people, JSON and CSV for programs, Markdown and LaTeX for papers."""

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Collection, Mapping, Sequence
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
        _show(_table(_columns(rows), least))


def print_facts(facts: Mapping[str, Any], form: str) -> None:
    """Print one mapping: nested in JSON; in a table or CSV with a row for each value, under dotted names."""
    rows = [{"fact": name, "value": value} for name, value in flatten(facts).items()]
    if form == "json":
        click.echo(json.dumps(facts, indent=2))
    elif form == "csv":
        print_rows(rows, form)
    else:
        _show(_table(_columns(rows), (), whole=True))


def print_tables(tables: "Sequence[Table]", form: str, least: Collection[str] = ()) -> None:
    """Print tables of means: for people in the form "table", for papers as "markdown" or "latex".

    Args:
        tables: the tables.
        form: the form.
        least: names of columns that a narrow terminal leaves out before others, the least important first.
    """
    from blade_tune.report import text_tables

    if form == "table":
        _show("\n".join(_paragraphs(table, least) for table in tables))
        return
    write = text_tables.markdown if form == "markdown" else text_tables.latex
    click.echo("\n".join(map(write, tables)), nl=False)


def _paragraphs(table: "Table", least: Collection[str]) -> str:
    """Return a table of means with its caption and its footnotes, the best of each column bold on a terminal."""
    from blade_tune.cli.terminal_table import TableColumn
    from blade_tune.report.text_tables import PLAIN, STYLED, texts

    rows = texts(table, STYLED if sys.stdout.isatty() else PLAIN)
    columns = [
        TableColumn(header, [row[index] for row in rows], is_number)
        for index, (header, is_number) in enumerate(
            zip(table.columns, table.has_numbers, strict=True)
        )
    ]
    width = _width() or 120
    fold = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
    notes = [fold.fill(printable_lines(note)) for note in table.footnotes]
    caption = [fold.fill(table.caption), ""] if table.caption else []
    return "\n".join([*caption, _table(columns, least), *notes, ""])


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


def _table(columns: "Sequence[TableColumn]", least: Collection[str], *, whole: bool = False) -> str:
    """Return a table as wide as the terminal, with a line on what it has no room for; in a pipe it is never folded."""
    if not columns:
        return ""
    from blade_tune.cli.terminal_table import layout, render

    width = _width()
    shown, gone = layout(columns, width, least)
    text = render(shown, width, styled=sys.stdout.isatty(), whole=whole)
    if gone:
        names = ", ".join(column.header for column in gone)
        hint = (
            f"Not shown at {width} columns: {names}. A wider terminal, -f csv and -f json have all."
        )
        text += textwrap.fill(hint, width or 0, break_on_hyphens=False) + "\n"
    return text


def _width() -> int | None:
    """Return the width of the terminal; None in a pipe, whose lines are as long as they are."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _show(text: str) -> None:
    """Print a text, page by page where it is longer than the terminal."""
    lines = shutil.get_terminal_size().lines
    if sys.stdout.isatty() and text.count("\n") >= lines:
        os.environ.setdefault("LESS", PAGER_OPTIONS)
        click.echo_via_pager(text, color=True)
    else:
        click.echo(text, nl=False)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if LARGE <= abs(value) < float("inf") else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value))
    return printable_lines(str(value))
