"""The time to baseline: when a study first passed the best of its untuned baselines, and at what cost."""

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
    """The first reported figure of a study above that of its best untuned baseline.

    Where `trial` is None, no trial has passed the baseline yet; where `baseline` is None too, none was measured.
    """

    baseline: str | None = None  # None where none was measured
    figure: float | None = None  # the baseline's, by the study's metric
    trial: int | None = None  # the number of the row
    epoch: int | None = None  # the epoch at which the trial passed the baseline
    value: float | None = None  # the trial's figure at this epoch
    # By the wall clock, since the first trial started; None where it is not stored
    study_seconds: float | None = None
    # `study_seconds` is up to the row's end, since the time of the figure is not stored
    is_upper_bound: bool = False
    training_seconds: float | None = None  # the trial's up to this epoch, in all of its attempts
    is_fitted: bool = False  # the model is fitted at once and has no epochs

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
        """The fields and the sentence, as a dictionary for JSON."""
        return {
            **{name: value for name, value in vars(self).items() if name != "is_fitted"},
            "words": str(self),
        }


def first_passing(stored: StoredStudy, trials: Sequence[FrozenTrial]) -> Passing:
    """Find the earliest reported figure, by the wall clock, above that of the best untuned baseline.

    Figures of all trials count, whether they completed, were pruned, failed or still run.

    Args:
        stored: the study.
        trials: all rows of the study, including interrupted ones.
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
    trained = training_seconds(trial, stored.files(trial), stored.definition.objective.metric).get(
        epoch
    )
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
    """Return the first epoch at which a trial reported more than a figure; None where it never did."""
    return min(
        (epoch for epoch, value in trial.intermediate_values.items() if value > figure),
        default=None,
    )


def _when(trial: FrozenTrial, epoch: int, start: datetime) -> tuple[float, bool]:
    """Return the seconds from the study's start to the report of an epoch, and whether they are an upper bound.

    Where the row's clock does not have the epoch, the bound is the end of the row; infinity where it has not ended.
    """
    begun = trial.datetime_start or start
    if (seconds := row_seconds(trial).get(epoch)) is not None:
        return (begun - start).total_seconds() + seconds, False
    return (
        trial.datetime_complete - start
    ).total_seconds() if trial.datetime_complete else math.inf, True


def _text(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds >= 100 else f"{seconds:.3g} s"
