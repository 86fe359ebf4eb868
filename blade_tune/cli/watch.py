"""Option `status --watch`: a live view of a study on a terminal, a line for each change in a pipe."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from blade_tune.cli.progress_words import left_entry, pace_words
from blade_tune.fleet.settings import RunSettings
from blade_tune.printable import printable_lines
from blade_tune.report import tables
from blade_tune.storage.pace import Pace
from blade_tune.study.progress import why_done
from blade_tune.study.stored import StoredStudy

Status = Mapping[str, Any]
BAR_WIDTH = 40


def facts_of(stored: StoredStudy, settings: RunSettings) -> Status:
    """Return the state of a study, with its cost where a price is set.

    Args:
        stored: the study.
        settings: with the prices.
    """
    facts = tables.status(stored)
    cost = settings.cost(facts["cpu_hours"], facts["gpu_hours"])
    return facts if cost is None else {**facts, "cost": round(cost, 2)}


def watch_study(stored: StoredStudy, settings: RunSettings, every_s: float) -> None:
    """Show the state of a study until it needs no more trials, then print why.

    Args:
        stored: the study.
        settings: with the prices.
        every_s: seconds between two looks at the database.
    """
    with _display() as show:
        while True:
            why = why_done(stored)
            show(facts_of(stored, settings))
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
        # The lines of the last state: a line that has not changed is not printed again. That the time that is left
        # changes is no change of the study.
        shown: set[str] = set()

        def show(facts: Status) -> None:
            lines = [_headline(facts), *_warning(facts), *map(_line, facts["workers"])]
            for line in lines:
                if line not in shown:
                    click.echo(line + left_entry(_pace(facts)) if line is lines[0] else line)
            shown.clear()
            shown.update(lines)

        yield show


def _view(facts: Status) -> Group:
    """Return the state of a study for a terminal: its bar, what was found, what it has cost, and who works on it."""
    top = Table.grid(padding=(0, 1))
    spent = facts["limit"] or {"spent": facts["scored"], "total": facts["budget"]}
    bar = ProgressBar(spent["total"], min(spent["spent"], spent["total"]), width=BAR_WIDTH)
    done = f"{tables.scored_words(facts, '/')} trials"
    if limit := facts["limit"]:
        done += f", {limit['words']}"
    top.add_row(Text(facts["name"], style="bold"), bar, Text(done), Text(_left(facts)))
    lines = (*_found(facts), *_warning(facts), facts["time_to_baseline"]["words"], _costs(facts))
    workers = facts["workers"]
    table = Table(box=None, pad_edge=False, header_style="bold")
    if workers:
        for name in workers[0]:
            table.add_column(name)
    for worker in workers:
        table.add_row(*map(_text, worker.values()))
    return Group(top, *map(Text, lines), table)


def _found(facts: Status) -> list[str]:
    """Return what trials came to, the best of them and the baselines, in lines."""
    counts = [f"{count} {state}" for state, count in facts["trials"].items() if count]
    lines = [", ".join(counts)] if counts else []
    if best := facts["best"]:
        line = f"best: trial {best['number']}, {facts['metric']} {_text(best['value'])}"
        if facts["verdict"]:
            line += f"; {facts['verdict']['words']}"
        lines.append(line)
    if facts["baselines"]:
        untuned = (f"{name} {_text(value)}" for name, value in facts["baselines"].items())
        lines.append(f"untuned: {', '.join(untuned)}")
    return lines


def _left(facts: Status) -> str:
    """Return the rate of a study and the time that is left, or that nobody works on it."""
    if pace := _pace(facts):
        return pace_words(pace)
    return "" if facts["workers"] else "nobody works on it"


def _pace(facts: Status) -> Pace | None:
    return Pace(**facts["pace"]) if facts["pace"] else None


def _costs(facts: Status) -> str:
    """Return what a study has cost, in hours and, where a price is set, in money."""
    cpu_hours = "?" if facts["cpu_hours"] is None else f"{facts['cpu_hours']:g}"
    words = f"spent: {cpu_hours} CPU hours of training, {facts['gpu_hours']:g} GPU hours"
    return f"{words}; cost: {facts['cost']:,.2f}" if "cost" in facts else words


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
