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
    # Seconds by the wall clock since the first trial started; None where they are not stored.
    study_seconds: float | None = None
    # Whether `study_seconds` is up to the row's end, since the time of the figure is not stored.
    is_upper_bound: bool = False
    training_seconds: float | None = None  # the trial's up to this epoch, in all of its attempts
    is_fitted: bool = False  # the model is fitted at once and has no epochs

    def __str__(self) -> str:
        if self.baseline is None:
            return "no baseline was measured, so none can be passed"
        beaten = f"{self.baseline}'s {self.figure:.4f}"
        if self.trial is None:
            return f"no trial has passed {beaten} yet"
        # When
        when = "at a time that is not stored"
        if self.study_seconds is not None:
            bound = "at most " if self.is_upper_bound else ""
            when = f"{bound}{_text(self.study_seconds)} into the study"
        # By which trial, after how much work
        trial = (
            f"trial {self.trial}" if self.is_fitted else f"trial {self.trial} at epoch {self.epoch}"
        )
        work = "fitting" if self.is_fitted else "training"
        spent = "an unknown time"
        if self.training_seconds is not None:
            spent = _text(self.training_seconds)
        by = f"{trial} after {spent} of {work} ({self.value:.4f})"
        return f"{beaten} was first passed {when}, by {by}"

    @property
    def facts(self) -> dict[str, Any]:
        """The fields and the sentence, as a dictionary for JSON."""
        facts = {name: value for name, value in vars(self).items() if name != "is_fitted"}
        return {**facts, "words": str(self)}


def first_passing(stored: StoredStudy, trials: Sequence[FrozenTrial]) -> Passing:
    """Find the earliest reported figure, by the wall clock, above that of the best untuned baseline.

    Figures of all trials count, whether they completed, were pruned, failed or still run.

    Args:
        stored: the study.
        trials: all rows of the study, including interrupted ones.
    """
    figures = stored.baseline_figures
    is_fitted = stored.definition.is_fitted
    if not figures:
        return Passing(is_fitted=is_fitted)
    baseline = max(figures, key=lambda name: figures[name])
    # When each trial passed it
    starts = [trial.datetime_start for trial in trials if trial.datetime_start]
    passed: list[tuple[float, bool, int, FrozenTrial, int]] = []
    for trial in trials:
        epoch = _epoch_above(trial, figures[baseline])
        if epoch is not None and trial.datetime_start:
            seconds, is_upper_bound = _when(trial, epoch, min(starts))
            passed.append((seconds, is_upper_bound, trial.number, trial, epoch))
    if not passed:
        return Passing(baseline, figures[baseline], is_fitted=is_fitted)
    # The first of them
    seconds, is_upper_bound, _, trial, epoch = min(passed)
    metric = stored.definition.objective.metric
    trained = training_seconds(trial, stored.files(trial), metric).get(epoch)
    return Passing(
        baseline=baseline,
        figure=figures[baseline],
        trial=trial.number,
        epoch=epoch,
        value=trial.intermediate_values[epoch],
        study_seconds=round(seconds, 3) if math.isfinite(seconds) else None,
        is_upper_bound=is_upper_bound,
        training_seconds=None if trained is None else round(trained, 3),
        is_fitted=is_fitted,
    )


def _epoch_above(trial: FrozenTrial, figure: float) -> int | None:
    """Return the first epoch at which a trial reported more than a figure; None where it never did."""
    reported = trial.intermediate_values.items()
    return min((epoch for epoch, value in reported if value > figure), default=None)


def _when(trial: FrozenTrial, epoch: int, start: datetime) -> tuple[float, bool]:
    """Return the seconds from the study's start to the report of an epoch, and whether they are an upper bound.

    Where the row's clock does not have the epoch, the bound is the end of the row; infinity where it has not ended.
    """
    begun = trial.datetime_start or start
    seconds = row_seconds(trial).get(epoch)
    if seconds is not None:
        return (begun - start).total_seconds() + seconds, False
    ended = trial.datetime_complete
    bound = (ended - start).total_seconds() if ended else math.inf
    return bound, True


def _text(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds >= 100 else f"{seconds:.3g} s"
