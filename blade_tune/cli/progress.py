"""Progress of studies and trainings on stderr: a live view on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import click
from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from blade_tune.parameter import Value
from blade_tune.redact import redacted
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.trial.callback import Callback, StudySummary

PLAIN_EVERY_S = 30.0  # least seconds between two lines of running trials


@contextmanager
def watch(quiet: bool) -> Iterator[Callback]:
    """Yield the callback that shows progress in the way that suits stderr, or a silent one."""
    if quiet:
        yield Callback()
    elif sys.stderr.isatty():
        live = LiveProgress(Console(stderr=True))
        with live.display:
            yield live
    else:
        yield PlainProgress()


def assignments(values: Mapping[str, Value] | None) -> str:
    """Return parameters as one line of name=value, without their groups."""
    words = []
    for dotted_name, value in (values or {}).items():
        _, _, name = dotted_name.partition(".")
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        words.append(f"{name}={text}")
    return " ".join(words)


def _baselines(figures: Mapping[str, float], left_out: Mapping[str, str]) -> str:
    """Return one line with each baseline's figure, or the reason why it has none."""
    words = [f"{name}={figure:.4f}" for name, figure in figures.items()]
    words += [f"{name}=none ({reason})" for name, reason in left_out.items()]
    return " ".join(words)


def _progress(summary: StudySummary) -> str:
    unit, done, total = summary.progress
    return f"{unit}={done:.7g}/{total:.7g}"


class PlainProgress(Callback):
    """Progress as plain lines of key=value, one for each event."""

    def __init__(self) -> None:
        self._metric = ""
        self._max_epochs = 0
        self._start = time.monotonic()
        self._last = self._start
        self._ended = 0
        self._begun = 0.0  # what was done before this run

    def run_started(self, summary: StudySummary, max_epochs: int) -> None:
        """Print the state of the study as the first line."""
        self._metric, self._max_epochs = summary.metric, max_epochs
        self._begun = summary.progress[1]
        self._line(f"study={summary.name} {_progress(summary)} max_epochs={max_epochs}")

    def baselines_measured(self, figures: Mapping[str, float], left_out: Mapping[str, str]) -> None:
        """Print the values of untuned baselines."""
        self._line(f"untuned valid_{self._metric}: {_baselines(figures, left_out)}")

    def noted(self, text: str) -> None:
        """Print a note unchanged."""
        self._line(text)

    def trial_started(self, number: int, values: Mapping[str, Value]) -> None:
        """Print the trial's parameters."""
        self._line(f"trial={number} started {assignments(values)}")

    def epoch_ended(self, number: int, record: EpochRecord) -> None:
        """Print the trial's epoch and metric, unless any line was printed less than PLAIN_EVERY_S ago."""
        if time.monotonic() - self._last < PLAIN_EVERY_S:
            return
        figures = ""
        if record.metrics:
            figures = f" {self._metric}={record.metrics[self._metric]:.4f}"
        epochs = f"epoch={record.epoch}/{self._max_epochs}"
        self._line(f"trial={number} {epochs}{figures} s={record.seconds:.2f}")

    def trial_ended(
        self, number: int, outcome: str, value: float | None, summary: StudySummary | None
    ) -> None:
        """Print the trial's outcome and the state of the study."""
        self._ended += 1
        shown = "none" if value is None else f"{value:.4f}"
        line = f"trial={number} {outcome} value={shown}"
        if summary is not None:
            best = "best=none"
            if summary.best_value is not None:
                best = f"best={summary.best_value:.4f} best_trial={summary.best_number}"
            line += f" {best} {_progress(summary)} left_s={self._left_s(summary):.0f}"
        self._line(line)

    def run_ended(self, why: str, summary: StudySummary) -> None:
        """Print the verdict on the best trial, the warning if there is one, and why the run ended."""
        if summary.verdict:
            self._line(f"best_trial={summary.best_number} {summary.verdict}")
        if summary.warning:
            self._line(f"WARNING {summary.warning}")
        self._line(f"study={summary.name} ended: {why}")

    def _left_s(self, summary: StudySummary) -> float:
        """Return the seconds that are left if the study goes on at the rate that it had so far."""
        _, done, total = summary.progress
        # Trials that did not score took their time too.
        passed = max(done - self._begun, 1e-9) if summary.unit else self._ended
        return (time.monotonic() - self._start) / passed * max(0.0, total - done)

    def _line(self, text: str) -> None:
        self._last = time.monotonic()
        click.echo(redacted(text), err=True)


class LiveProgress(Callback):
    """Live view with a bar for the study and one for each running trial, the best trial, and lines of ended trials."""

    def __init__(self, console: Console) -> None:
        self._study = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("trials {task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._trials = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs {task.fields[figures]}"),
            console=console,
        )
        self._best = Text()
        self.display = Live(
            Group(self._study, self._trials, self._best), console=console, refresh_per_second=4
        )
        self._study_task = self._study.add_task("", total=None, rate="")
        self._tasks: dict[int, TaskID] = {}  # of the trials that run, by number
        self._highest: dict[int, float] = {}
        self._metric = ""
        self._max_epochs = 0
        self._start = time.monotonic()
        self._ended = 0

    def run_started(self, summary: StudySummary, max_epochs: int) -> None:
        """Show the state of the study."""
        self._metric, self._max_epochs = summary.metric, max_epochs
        self._study.update(
            self._study_task,
            description=f"{summary.name}, {summary.unit}" if summary.unit else summary.name,
            total=summary.progress[2],
            completed=summary.progress[1],
        )
        self._show_best(summary)

    def baselines_measured(self, figures: Mapping[str, float], left_out: Mapping[str, str]) -> None:
        """Print the values of untuned baselines above the bars."""
        line = f"untuned, valid {self._metric}: {_baselines(figures, left_out)}"
        self.display.console.print(redacted(line), highlight=False, markup=False)

    def noted(self, text: str) -> None:
        """Print a note above the bars."""
        self.display.console.print(redacted(text), highlight=False, markup=False)

    def trial_started(self, number: int, values: Mapping[str, Value]) -> None:
        """Add a bar for the trial."""
        self._highest[number] = 0.0
        self._tasks[number] = self._trials.add_task(
            f"trial {number}", total=self._max_epochs, figures=""
        )

    def epoch_ended(self, number: int, record: EpochRecord) -> None:
        """Move the trial's bar."""
        figures = f"{record.seconds:.2f} s each"
        if record.metrics:
            value = record.metrics[self._metric]
            highest = max(self._highest[number], value)
            self._highest[number] = highest
            figures = f"{self._metric} {value:.4f}, best {highest:.4f}"
        self._trials.update(self._tasks[number], completed=record.epoch, figures=figures)

    def trial_ended(
        self, number: int, outcome: str, value: float | None, summary: StudySummary | None
    ) -> None:
        """Print the trial's outcome above the bars, remove its bar, and move the study's bar."""
        self._remove(number)
        self._ended += 1
        shown = "" if value is None else f" {self._metric} {value:.4f}"
        # No markup: an error's message may have brackets
        line = Text(redacted(f"trial {number} {outcome}{shown}"))
        if summary is not None:
            per_hour = 3600 * self._ended / (time.monotonic() - self._start)
            self._study.update(
                self._study_task, completed=summary.progress[1], rate=f"{per_hour:.0f}/h"
            )
            self._show_best(summary)
            if summary.best_number == number:
                line.append(" best", style="bold green")
        self.display.console.print(line)

    def trial_lost(self, number: int) -> None:
        """Remove the trial's bar."""
        self._remove(number)

    def run_ended(self, why: str, summary: StudySummary) -> None:
        """Remove the bars of all trials, and print the warning if there is one and why the run ended."""
        for number in list(self._tasks):
            self._remove(number)
        self._show_best(summary)
        if summary.warning:
            self.display.console.print(Text(f"WARNING {summary.warning}", style="bold red"))
        self.display.console.print(why, highlight=False)

    def _remove(self, number: int) -> None:
        if number in self._tasks:
            self._trials.remove_task(self._tasks.pop(number))

    def _show_best(self, summary: StudySummary) -> None:
        if summary.best_value is None:
            return
        figure = f"{summary.metric} {summary.best_value:.4f}"
        params = assignments(summary.best_params)
        line = f"best: trial {summary.best_number}, {figure}, {params}"
        if summary.verdict:
            line += f"; {summary.verdict}"
        self._best.plain = redacted(line)


def epoch_lines(title: str) -> Callable[[EpochRecord], None]:
    """Return a function that prints a line on a training from time to time; call it after each epoch."""
    last = time.monotonic()

    def line(record: EpochRecord) -> None:
        nonlocal last
        if time.monotonic() - last >= PLAIN_EVERY_S:
            last = time.monotonic()
            click.echo(f"{title} epoch={record.epoch} s={record.seconds:.2f}", err=True)

    return line


@contextmanager
def watch_training(quiet: bool, title: str) -> Iterator[Callable[[EpochRecord], None]]:
    """Yield a function that shows the epochs of a single training under a title; call it after each epoch."""
    if quiet:
        yield lambda _: None
        return

    # In a pipe, a line from time to time
    console = Console(stderr=True)
    if not console.is_terminal:
        yield epoch_lines(title)
        return

    # On a terminal, one line that changes
    with Progress(
        TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True
    ) as progress:
        task = progress.add_task(title)
        yield lambda record: progress.update(task, description=f"{title}, epoch {record.epoch}")
