"""What a search has spent, and the limit of it beyond a number of trials: optimizer steps or hours of training.

The limit is a user attribute of the study, so it holds for every worker and every run of it. Workers store what a
running trial has spent at each evaluation, and a trial ends there once the study's total is reached.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self, get_args

import optuna
from optuna.trial import FrozenTrial, TrialState

from blade_tune.errors import ConfigError
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.storage.trials import logical_trials

Unit = Literal["steps", "hours"]
UNITS: tuple[Unit, ...] = get_args(Unit)
ATTRIBUTE = "limit"  # user attribute of the study: {"unit": ..., "total": ...}, or None
UNLIMITED = 1_000_000  # trials of a study that another limit ends


@dataclass(frozen=True)
class Limit:
    """How many optimizer steps or hours of training all trials of a study may take together."""

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
            ConfigError: steps are limited, and the study has trials of an earlier version, whose steps are not known.
        """
        if math.isnan(self.spent(study.get_trials(deepcopy=False))):
            raise ConfigError(
                f"study {study.study_name} has trials of an earlier version, which did not count steps; limit hours or "
                "trials, or take another --results."
            )
        study.set_user_attr(ATTRIBUTE, vars(self))

    def spent(self, trials: Iterable[FrozenTrial]) -> float:
        """Return how much of the limit all trials have spent, running, pruned and failed ones included.

        Args:
            trials: all rows of the study, in order of number.
        """
        return hours(trials) if self.unit == "hours" else steps(trials)

    def is_reached(self, trials: Iterable[FrozenTrial]) -> bool:
        """Whether nothing of the limit is left."""
        return self.spent(trials) >= self.total

    def spent_words(self, trials: Iterable[FrozenTrial]) -> str:
        """Return how much all trials have spent of it: "1,200 of 36,000 steps"."""
        return f"{self._shown(self.spent(trials))} of {self}"

    def __str__(self) -> str:
        return f"{self._shown(self.total)} {self.unit}"

    def _shown(self, amount: float) -> str:
        return f"{amount:,.0f}" if self.unit == "steps" else f"{amount:,.4g}"


def steps(trials: Iterable[FrozenTrial]) -> float:
    """Return the optimizer steps of all trials; NaN if a trial of an earlier version did not count them."""
    total = 0
    for trial in logical_trials(trials):
        record = TrialRecord(trial)
        if TrialRecord.epochs in record and TrialRecord.steps not in record:
            return math.nan
        total += record.get(TrialRecord.steps, 0)
    return total


def hours(trials: Iterable[FrozenTrial]) -> float:
    """Return the hours of training of all trials, evaluations included, as one worker would have needed."""
    records = map(TrialRecord, logical_trials(trials))
    return sum(record.get(TrialRecord.seconds, 0.0) for record in records) / 3600


def is_begun(trial: FrozenTrial) -> bool:
    """Whether a row that has not ended has been trained already: it runs, or waits to be continued."""
    is_continuation = TrialRecord.root in TrialRecord(trial)
    return trial.state == TrialState.RUNNING or (
        trial.state == TrialState.WAITING and is_continuation
    )
