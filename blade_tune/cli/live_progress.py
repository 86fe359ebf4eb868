"""Progress of a study as a live view in a terminal."""

import time
from collections.abc import Mapping
from dataclasses import replace

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from blade_tune.cli.progress_words import (
    assignments,
    baseline_words,
    done_words,
    pace_words,
)
from blade_tune.parameter import Value
from blade_tune.redact import redacted
from blade_tune.storage.pace import Pace
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.trial.callback import Callback, StudySummary


class LeftColumn(ProgressColumn):
    """The rate of a study and the time that is left, which goes on between two looks at the study."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """Return the words of a task, whose fields have a pace and when it was made."""
        found: Pace | None = task.fields["pace"]
        if found is None:
            return Text("")
        passed = time.monotonic() - task.fields["made"]
        return Text(pace_words(replace(found, left_s=max(0.0, found.left_s - passed))))


class LiveProgress(Callback):
    """Live view with a bar for the study and one for each running trial, the best trial, and lines of ended trials.

    Nothing of it stays on the screen but lines: `close` leaves the state of the study as one, however the run ends.
    """

    def __init__(self, console: Console) -> None:
        self._study = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]}"),
            TimeElapsedColumn(),
            LeftColumn(),
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
            Group(self._study, self._trials, self._best),
            console=console,
            refresh_per_second=4,
            transient=True,
        )
        self._study_task = self._study.add_task(
            "", total=None, visible=False, done="", pace=None, made=0.0
        )
        self._tasks: dict[int, TaskID] = {}  # of the trials that run, by number
        self._highest: dict[int, float] = {}
        self._summary: StudySummary | None = None
        self._max_epochs = 0

    def close(self) -> None:
        """Take the view away; of a study that has not ended its state remains."""
        self._leave()
        self.display.stop()

    def run_started(self, summary: StudySummary, max_epochs: int) -> None:
        """Show the state of the study."""
        self._max_epochs = max_epochs
        self._study.update(self._study_task, description=summary.name, visible=True)
        self.progressed(summary)

    def baselines_measured(self, figures: Mapping[str, float], left_out: Mapping[str, str]) -> None:
        """Print the values of untuned baselines above the bars."""
        self._print(f"untuned, valid {self._metric}: {baseline_words(figures, left_out)}")

    def noted(self, text: str) -> None:
        """Print a note above the bars."""
        self._print(text)

    def progressed(self, summary: StudySummary) -> None:
        """Move the study's bar to where the study is, and show the best trial and the time that is left."""
        self._summary = summary
        _, done, total = summary.progress
        self._study.update(
            self._study_task,
            completed=done,
            total=total,
            done=done_words(summary),
            pace=summary.pace,
            made=time.monotonic(),
        )
        if summary.best_value is None:
            return
        line = f"best: trial {summary.best_number}, {summary.metric} {summary.best_value:.4f}"
        if params := assignments(summary.best_params):
            line += f", {params}"
        if summary.verdict:
            line += f"; {summary.verdict}"
        self._best.plain = redacted(line)

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
        self.trial_lost(number)
        shown = "" if value is None else f" {self._metric} {value:.4f}"
        # No markup: an error's message may have brackets
        line = Text(redacted(f"trial {number} {outcome}{shown}"))
        if summary is not None:
            self.progressed(summary)
            if summary.best_number == number:
                line.append(" best", style="bold green")
        self.display.console.print(line)

    def trial_lost(self, number: int) -> None:
        """Remove the trial's bar."""
        if number in self._tasks:
            self._trials.remove_task(self._tasks.pop(number))

    def run_ended(self, why: str, summary: StudySummary) -> None:
        """Leave the state of the study, and print the warning if there is one and why the run ended."""
        self.progressed(summary)
        self._leave()
        if summary.warning:
            self.display.console.print(Text(f"WARNING {summary.warning}", style="bold red"))
        self._print(why)

    def _leave(self) -> None:
        """Print the state of the study and its best trial as lines, and take its bars away."""
        for number in list(self._tasks):
            self.trial_lost(number)
        self._study.update(self._study_task, visible=False)
        if self._summary is not None:
            self._print(f"{self._summary.name}: {done_words(self._summary)}")
            if self._best.plain:
                self._print(self._best.plain)
        self._summary = None
        self._best.plain = ""

    @property
    def _metric(self) -> str:
        return self._summary.metric if self._summary else ""

    def _print(self, text: str) -> None:
        self.display.console.print(redacted(text), highlight=False, markup=False)
