"""What a running study tells whoever watches it."""

from collections.abc import Mapping
from dataclasses import dataclass

from blade_tune.parameter import Value
from blade_tune.training.loop import EpochRecord


@dataclass(frozen=True)
class StudySummary:
    """How far a study is."""

    name: str
    metric: str
    scored: int
    budget: int
    best_number: int | None = None
    best_value: float | None = None
    best_params: Mapping[str, Value] | None = None
    verdict: str = ""  # on the best, beside the reference baseline
    warning: str = ""  # where it is below an untuned baseline


class Callback:
    """Hears every event of a run; this one ignores them all."""

    def run_started(self, summary: StudySummary, max_epochs: int) -> None:
        """The study is open."""

    def baselines_measured(self, figures: Mapping[str, float], left_out: Mapping[str, str]) -> None:
        """What untuned models reach on validation is known, by name; and why some were left out."""

    def noted(self, text: str) -> None:
        """Something else that is worth a line."""

    def trial_started(self, number: int, values: Mapping[str, Value]) -> None:
        """A trial is about to train."""

    def epoch_ended(self, number: int, record: EpochRecord) -> None:
        """One epoch of a trial is done and stored."""

    def trial_ended(self, number: int, outcome: str, value: float | None, summary: StudySummary | None) -> None:
        """A trial completed, was pruned or failed; `outcome` says which, with the reason.

        `summary` is how far the study is now, where the one who tells knows.
        """

    def trial_lost(self, number: int) -> None:
        """The worker of a trial died, was ended or too late; another goes on from its checkpoint, as another row."""

    def run_ended(self, why: str, summary: StudySummary) -> None:
        """No more trials in this run, and why."""
