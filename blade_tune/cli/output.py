"""Printing of results on stdout: tables for people, JSON and CSV for programs."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from blade_tune.config import flatten
from blade_tune.printable import printable_lines


def print_rows(rows: Sequence[Mapping[str, Any]], form: str) -> None:
    """Print rows in the form "table", "json" or "csv"."""
    if form == "json":
        click.echo(json.dumps(list(rows), indent=2))
    elif form == "csv":
        from blade_tune.trial.curves import as_csv

        text = as_csv(rows)
        click.echo(printable_lines(text) if sys.stdout.isatty() else text, nl=False)
    else:
        _print_table(rows)


def print_facts(facts: Mapping[str, Any], form: str) -> None:
    """Print one mapping: nested in JSON; in a table or CSV with a row for each value, under dotted names."""
    if form == "json":
        click.echo(json.dumps(facts, indent=2))
    else:
        print_rows([{"fact": name, "value": value} for name, value in flatten(facts).items()], form)


def _print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    # Columns in the order of their first row, without those that are empty in every row
    names: dict[str, None] = {}
    for row in rows:
        names |= dict.fromkeys(row)
    columns = [name for name in names if any(_cell(row.get(name)) for row in rows)]

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        numeric = all(isinstance(row.get(name), int | float | None) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in columns))
    # In a pipe, a fixed width
    width = None if sys.stdout.isatty() else 250
    Console(width=width, highlight=False, markup=False, emoji=False).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value))
    return printable_lines(str(value))
