"""The callback interface through which a running study reports its events, and the summary that it reports.

A terminal display, a logger or a relay to another process subclasses `Callback` and overrides the events it needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from blade_tune.parameter import Value
from blade_tune.storage.pace import Pace
from blade_tune.training.epoch_record import EpochRecord


@dataclass(frozen=True)
class StudySummary:
    """Progress of a study at one moment: trials scored out of its budget, and the best trial so far."""

    name: str
    metric: str
    scored: int  # trials that count toward the budget so far
    budget: int  # trials that the study shall have in all
    # The best trial; None before the first complete one
    best_number: int | None = None
    best_value: float | None = None
    best_params: Mapping[str, Value] | None = None
    # How the best trial compares with the reference baseline; empty where that is not known
    verdict: str = ""
    # A warning that the best trial is below an untuned baseline; empty where it is not
    warning: str = ""
    # What is limited beside the number of trials ("steps", "hours", "CPU hours"), how much of it is spent, the limit
    unit: str = ""
    spent: float = 0.0
    limit: float = 0.0
    # How fast the study goes with all who work on it, and how long it still takes; None where that is not known
    pace: Pace | None = None

    @property
    def progress(self) -> tuple[str, float, float]:
        """What is counted, how much of it is done, and how much shall be done in all."""
        if self.unit:
            return self.unit, self.spent, self.limit
        return "scored", self.scored, self.budget


class Callback:
    """Receiver of a run's events; every method of this base class does nothing."""

    def run_started(self, summary: StudySummary, max_epochs: int) -> None:
        """Handle the start of a run.

        Args:
            summary: progress of the study before the run's first trial.
            max_epochs: the most epochs that a trial may train.
        """

    def baselines_measured(self, figures: Mapping[str, float], left_out: Mapping[str, str]) -> None:
        """Handle the validation figures of the untuned baselines.

        Args:
            figures: name of a baseline -> its value of the study's metric on validation.
            left_out: name of a baseline that was not measured -> the reason.
        """

    def noted(self, text: str) -> None:
        """Handle a line of text about an event that has no method of its own."""

    def progressed(self, summary: StudySummary) -> None:
        """Handle a look at the study, from time to time: whatever others have done meanwhile is in its summary."""

    def trial_started(self, number: int, values: Mapping[str, Value]) -> None:
        """Handle the start of a trial's training.

        Args:
            number: the trial's number in the study.
            values: the parameters that tell it from other trials of the study, by dotted name.
        """

    def epoch_ended(self, number: int, record: EpochRecord) -> None:
        """Handle the end of one training epoch of a trial."""

    def trial_ended(
        self, number: int, outcome: str, value: float | None, summary: StudySummary | None
    ) -> None:
        """Handle the end of a trial that completed, was pruned or failed.

        Args:
            number: the trial's number in the study.
            outcome: the final state and, where there is one, the reason, in words.
            value: the trial's value of the study's metric; None where it has none.
            summary: progress of the study after the trial; None where the caller does not know it.
        """

    def trial_lost(self, number: int) -> None:
        """Handle the loss of a trial: its worker died, was ended, or exceeded its lease.

        The trial is not over. Another worker continues it from its checkpoint, under a new number in the study.
        """

    def run_ended(self, why: str, summary: StudySummary) -> None:
        """Handle the end of a run.

        Args:
            why: the reason that the run starts no more trials.
            summary: progress of the study at the end.
        """
