"""What a search has spent, and the limit of it beyond a number of trials: optimizer steps or hours of training.

Hours are those that passed; CPU hours are the processor time of the workers, which other work on the machine hardly
changes.

The limit is a user attribute of the study, so it holds for every worker and every run of it. Workers store what a
running trial has spent at each evaluation, and a trial ends there once the study's total is reached.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import optuna
from optuna.trial import FrozenTrial, TrialState

from blade_tune.errors import ConfigError
from blade_tune.storage.trial_record import Attribute, TrialRecord
from blade_tune.storage.trials import logical_trials

Unit = Literal["steps", "hours", "cpu_hours"]
ATTRIBUTE = "limit"  # user attribute of the study: {"unit": ..., "total": ...}, or None
UNLIMITED = 1_000_000  # trials of a study that another limit ends
SECONDS_AN_HOUR = 3600


@dataclass(frozen=True)
class Limit:
    """How many optimizer steps, hours or CPU hours of training all trials of a study may take together."""

    unit: Unit
    total: float

    @classmethod
    def of(cls, study: optuna.Study) -> Self | None:
        """Return the limit of a study; None where only its trials are counted."""
        stored = study.user_attrs.get(ATTRIBUTE)
        return cls(**stored) if stored else None

    def store(self, study: optuna.Study) -> None:
        """Make this the limit of a study.

        Raises:
            ConfigError: the study has trials of an earlier version, which did not count what is limited.
        """
        if math.isnan(self.spent(study.get_trials(deepcopy=False))):
            raise ConfigError(
                f"study {study.study_name} has trials of an earlier version, which did not count "
                f"{words_of(self.unit)}; limit hours or trials, or take another --results."
            )
        study.set_user_attr(ATTRIBUTE, vars(self))

    def spent(self, trials: Iterable[FrozenTrial]) -> float:
        """Return how much of the limit all trials have spent, running, pruned and failed ones included.

        Args:
            trials: all rows of the study, in order of number.
        """
        return COUNTS[self.unit](trials)

    def is_reached(self, trials: Iterable[FrozenTrial]) -> bool:
        """Whether nothing of the limit is left."""
        return self.spent(trials) >= self.total

    def spent_words(self, trials: Iterable[FrozenTrial]) -> str:
        """Return how much all trials have spent of it: "1,200 of 36,000 steps"."""
        return f"{self._shown(self.spent(trials))} of {self}"

    def __str__(self) -> str:
        return f"{self._shown(self.total)} {words_of(self.unit)}"

    def _shown(self, amount: float) -> str:
        return f"{amount:,.0f}" if self.unit == "steps" else f"{amount:,.4g}"


def words_of(unit: str) -> str:
    """Return a unit of spending as it is said: "CPU hours"."""
    return unit.replace("cpu_", "CPU ")


def steps(trials: Iterable[FrozenTrial]) -> float:
    """Return the optimizer steps of all trials; NaN if a trial of an earlier version did not count them."""
    return _sum(trials, TrialRecord.steps)


def hours(trials: Iterable[FrozenTrial]) -> float:
    """Return the hours of training of all trials, evaluations included, as one worker would have needed."""
    records = map(TrialRecord, logical_trials(trials))
    return sum(record.get(TrialRecord.seconds, 0.0) for record in records) / SECONDS_AN_HOUR


def cpu_hours(trials: Iterable[FrozenTrial]) -> float:
    """Return the processor time of all trials, in hours; NaN if a trial of an earlier version did not count it."""
    return _sum(trials, TrialRecord.cpu_seconds) / SECONDS_AN_HOUR


COUNTS: Mapping[Unit, Callable[[Iterable[FrozenTrial]], float]] = {
    "steps": steps,
    "hours": hours,
    "cpu_hours": cpu_hours,
}


def _sum(trials: Iterable[FrozenTrial], attribute: Attribute[Any]) -> float:
    """Return the sum of an attribute; NaN if a trial that was trained does not have it."""
    total: float = 0
    for trial in logical_trials(trials):
        record = TrialRecord(trial)
        if TrialRecord.epochs in record and attribute not in record:
            return math.nan
        total += record.get(attribute, 0)
    return total


def is_begun(trial: FrozenTrial) -> bool:
    """Whether a row that has not ended has been trained already: it runs, or waits to be continued."""
    is_continuation = TrialRecord.root in TrialRecord(trial)
    return trial.state == TrialState.RUNNING or (
        trial.state == TrialState.WAITING and is_continuation
    )
