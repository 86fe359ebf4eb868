"""Option `status --watch`: a live view of a study on a terminal, a line for each change in a pipe."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from blade_tune.printable import printable_lines
from blade_tune.report import tables
from blade_tune.study.progress import why_done
from blade_tune.study.stored import StoredStudy

Status = Mapping[str, Any]


def watch_study(stored: StoredStudy, every_s: float) -> None:
    """Show the state of a study until it needs no more trials, then print why.

    Args:
        stored: the study.
        every_s: seconds between two looks at the database.
    """
    with _display() as show:
        while True:
            why = why_done(stored)
            show(tables.status(stored))
            if why:
                break
            time.sleep(every_s)
    click.echo(why)


@contextmanager
def _display() -> Iterator[Callable[[Status], None]]:
    """Yield a function that shows a state in the way that suits stdout."""
    if sys.stdout.isatty():
        with Live(auto_refresh=False) as live:
            yield lambda facts: live.update(_view(facts), refresh=True)
    else:
        # The lines of the last state: a line that has not changed is not printed again
        shown: set[str] = set()

        def show(facts: Status) -> None:
            lines = [_headline(facts), *_warning(facts), *map(_line, facts["workers"])]
            for line in lines:
                if line not in shown:
                    click.echo(line)
            shown.clear()
            shown.update(lines)

        yield show


def _view(facts: Status) -> Group:
    lines = (_headline(facts), *_warning(facts), facts["time_to_baseline"]["words"])
    workers = facts["workers"]
    table = Table(box=None, pad_edge=False, header_style="bold")
    if workers:
        for name in workers[0]:
            table.add_column(name)
    for worker in workers:
        table.add_row(*map(_text, worker.values()))
    return Group(*map(Text, lines), table)


def _headline(facts: Status) -> str:
    """Return a study's state in one line: counts that are not 0, the best trial, and the verdict on it."""
    counts = {name: count for name, count in facts["trials"].items() if count}
    entries = {"study": facts["name"], "scored": tables.scored_words(facts, "/"), **counts}
    if limit := facts["limit"]:
        entries[limit["unit"]] = f"{limit['spent']:.7g}/{limit['total']:.7g}"
    if best := facts["best"]:
        entries |= {"best": best["value"], "best_trial": best["number"]}
    if facts["baselines"]:
        entries |= facts["baselines"]
    words = [f"{name}={_text(value)}" for name, value in entries.items()]
    if facts["verdict"]:
        words.append(facts["verdict"]["words"])
    return " ".join(words)


def _warning(facts: Status) -> list[str]:
    return [f"WARNING {facts['warning']}"] if facts["warning"] else []


def _line(worker: Status) -> str:
    """Return a worker's state in one line, without the time since its heartbeat, which changes all the time."""
    shown = {name: value for name, value in worker.items() if name != "heard_s"}
    return " ".join(f"{name}={_text(value)}" for name, value in shown.items())


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.4f}"
    return printable_lines(str(value))
