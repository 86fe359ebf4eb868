"""Progress of a study as plain lines of key=value, for a pipe or a file."""

import time
from collections.abc import Mapping

import click

from blade_tune.cli.progress_words import assignments, baseline_words, left_entry
from blade_tune.parameter import Value
from blade_tune.redact import redacted
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.trial.callback import Callback, StudySummary

PLAIN_EVERY_S = 30.0  # least seconds between two lines of running trials


class PlainProgress(Callback):
    """Progress as one line for each event; epochs have one from time to time."""

    def __init__(self) -> None:
        self._metric = ""
        self._max_epochs = 0
        self._last = time.monotonic()
        self._summary: StudySummary | None = None

    def run_started(self, summary: StudySummary, max_epochs: int) -> None:
        """Print the state of the study as the first line."""
        self._metric, self._max_epochs = summary.metric, max_epochs
        self._summary = summary
        self._line(f"study={summary.name} {_counts(summary)} max_epochs={max_epochs}")

    def baselines_measured(self, figures: Mapping[str, float], left_out: Mapping[str, str]) -> None:
        """Print the values of untuned baselines."""
        self._line(f"untuned valid_{self._metric}: {baseline_words(figures, left_out)}")

    def noted(self, text: str) -> None:
        """Print a note unchanged."""
        self._line(text)

    def progressed(self, summary: StudySummary) -> None:
        """Have the next line tell it."""
        self._summary = summary

    def trial_started(self, number: int, values: Mapping[str, Value]) -> None:
        """Print what tells the trial from others."""
        self._line(f"trial={number} started {assignments(values)}")

    def epoch_ended(self, number: int, record: EpochRecord) -> None:
        """Print the trial's epoch and metric, unless any line was printed less than PLAIN_EVERY_S ago."""
        if time.monotonic() - self._last < PLAIN_EVERY_S:
            return
        figures = ""
        if record.metrics:
            figures = f" {self._metric}={record.metrics[self._metric]:.4f}"
        epochs = f"epoch={record.epoch}/{self._max_epochs}"
        line = f"trial={number} {epochs}{figures} s={record.seconds:.2f}"
        if self._summary:
            line += f" {_counts(self._summary)}{left_entry(self._summary.pace)}"
        self._line(line)

    def trial_ended(
        self, number: int, outcome: str, value: float | None, summary: StudySummary | None
    ) -> None:
        """Print the trial's outcome, the best trial so far, and the state of the study."""
        shown = "none" if value is None else f"{value:.4f}"
        line = f"trial={number} {outcome} value={shown}"
        if summary is not None:
            self._summary = summary
            if summary.best_value is not None:
                line += f" best={summary.best_value:.4f} best_trial={summary.best_number}"
            line += f" {_counts(summary)}{left_entry(summary.pace)}"
        self._line(line)

    def run_ended(self, why: str, summary: StudySummary) -> None:
        """Print the verdict on the best trial, the warning if there is one, and why the run ended."""
        if summary.verdict:
            self._line(f"best_trial={summary.best_number} {summary.verdict}")
        if summary.warning:
            self._line(f"WARNING {summary.warning}")
        self._line(f"study={summary.name} ended: {why}")

    def _line(self, text: str) -> None:
        self._last = time.monotonic()
        click.echo(redacted(text), err=True)


def _counts(summary: StudySummary) -> str:
    unit, done, total = summary.progress
    return f"{unit.replace(' ', '_')}={done:.7g}/{total:.7g}"
