"""When a study passed the best of its untuned baselines."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optuna.trial import FrozenTrial

from blade_tune.study.stored import StoredStudy
from blade_tune.trial.clock import row_seconds, training_seconds


@dataclass(frozen=True)
class Passing:
    """The first figure above that of the best baseline; without a trial none has passed it yet."""

    baseline: str | None = None  # None where none was measured
    figure: float | None = None  # what the baseline reaches
    trial: int | None = None  # the number of the row
    epoch: int | None = None
    value: float | None = None  # what the trial reached there
    study_seconds: float | None = None  # by the wall clock, since the first trial started
    is_upper_bound: bool = False  # the row's end stands for the time of its figure, which was not stored
    training_seconds: float | None = None  # of the trial, in all of its attempts
    is_fitted: bool = False  # the model has no epochs

    def __str__(self) -> str:
        if self.baseline is None:
            return "no baseline was measured, so none can be passed"
        beaten = f"{self.baseline}'s {self.figure:.4f}"
        if self.trial is None:
            return f"no trial has passed {beaten} yet"
        when, spent = "at a time that is not stored", "an unknown time"
        if self.study_seconds is not None:
            when = f"{'at most ' if self.is_upper_bound else ''}{_text(self.study_seconds)} into the study"
        if self.training_seconds is not None:
            spent = _text(self.training_seconds)
        place, work = ("", "fitting") if self.is_fitted else (f" at epoch {self.epoch}", "training")
        by = f"trial {self.trial}{place} after {spent} of {work} ({self.value:.4f})"
        return f"{beaten} was first passed {when}, by {by}"

    @property
    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {**{name: value for name, value in vars(self).items() if name != "is_fitted"}, "words": str(self)}


def first_passing(stored: StoredStudy, trials: Sequence[FrozenTrial]) -> Passing:
    """The earliest by the wall clock of all figures that were reported, however their trials ended or go on.

    Args:
        stored: the study.
        trials: all of its rows, those that were interrupted too.
    """
    figures, fitted = stored.baseline_figures, stored.definition.is_fitted
    if not figures:
        return Passing(is_fitted=fitted)
    baseline = max(figures, key=lambda name: figures[name])
    starts = [trial.datetime_start for trial in trials if trial.datetime_start]
    passed = [
        (_when(trial, epoch, min(starts)), trial, epoch)
        for trial in trials
        if (epoch := _epoch_above(trial, figures[baseline])) is not None and trial.datetime_start
    ]
    if not passed:
        return Passing(baseline, figures[baseline], is_fitted=fitted)
    (seconds, is_upper_bound), trial, epoch = min(passed, key=lambda one: (one[0], one[1].number))
    trained = training_seconds(trial, stored.files(trial), stored.definition.objective.metric).get(epoch)
    return Passing(
        baseline=baseline,
        figure=figures[baseline],
        trial=trial.number,
        epoch=epoch,
        value=trial.intermediate_values[epoch],
        study_seconds=round(seconds, 3) if math.isfinite(seconds) else None,
        is_upper_bound=is_upper_bound,
        training_seconds=None if trained is None else round(trained, 3),
        is_fitted=fitted,
    )


def _epoch_above(trial: FrozenTrial, figure: float) -> int | None:
    """The first that was reported with more than a figure."""
    return min((epoch for epoch, value in trial.intermediate_values.items() if value > figure), default=None)


def _when(trial: FrozenTrial, epoch: int, start: datetime) -> tuple[float, bool]:
    """Seconds from the study's start to the report of an epoch, and whether they are a bound from above.

    Where the row's clock does not tell, the row's end is known to be later; infinity where it has none.
    """
    begun = trial.datetime_start or start
    if (seconds := row_seconds(trial).get(epoch)) is not None:
        return (begun - start).total_seconds() + seconds, False
    return (trial.datetime_complete - start).total_seconds() if trial.datetime_complete else math.inf, True


def _text(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds >= 100 else f"{seconds:.3g} s"
