"""`status --watch`: a live view in a terminal, in a pipe a line for whatever changes."""

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

from blade_tune.fleet.worker import why_done
from blade_tune.printable import printable_lines
from blade_tune.report import tables
from blade_tune.study.stored import StoredStudy

Status = Mapping[str, Any]


def watch_study(stored: StoredStudy, every_s: float) -> None:
    """Show what `tables.status` says until the study needs no more trials, then say why."""
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
    """What suits stdout."""
    if sys.stdout.isatty():
        with Live(auto_refresh=False) as live:
            yield lambda facts: live.update(_view(facts), refresh=True)
    else:
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
    workers = Table(box=None, pad_edge=False, header_style="bold")
    for name in facts["workers"][0] if facts["workers"] else ():
        workers.add_column(name)
    for worker in facts["workers"]:
        workers.add_row(*map(_text, worker.values()))
    lines = (_headline(facts), *_warning(facts), facts["time_to_baseline"]["words"])
    return Group(*map(Text, lines), workers)


def _headline(facts: Status) -> str:
    """The study in one line: whatever there is any of, and the best."""
    counts = {name: count for name, count in facts["trials"].items() if count}
    entries = {"study": facts["name"], "scored": f"{facts['scored']}/{facts['budget']}", **counts}
    if best := facts["best"]:
        entries |= {"best": best["value"], "best_trial": best["number"]}
    if facts["baselines"]:
        entries |= facts["baselines"]
    line = " ".join(f"{name}={_text(value)}" for name, value in entries.items())
    return f"{line} {facts['verdict']['words']}" if facts["verdict"] else line


def _warning(facts: Status) -> list[str]:
    return [f"WARNING {facts['warning']}"] if facts["warning"] else []


def _line(worker: Status) -> str:
    """A worker in one line, without what changes though nothing happens."""
    return " ".join(f"{name}={_text(value)}" for name, value in worker.items() if name != "heard_s")


def _text(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "none" if value is None else printable_lines(str(value))
