"""Estimate of the most time that a comparison can take, by timing a few training steps of each model."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from blade_tune.data.store import SearchData
from blade_tune.fleet.settings import RunSettings
from blade_tune.selection.compare import Budget, prepared, search_of
from blade_tune.selection.confirm import is_seeded
from blade_tune.selection.protocol import loss_of
from blade_tune.selection.runs import find_runs, is_complete
from blade_tune.spec.definition import StudyDefinition, max_length
from blade_tune.storage.spending import SECONDS_AN_HOUR, Limit
from blade_tune.storage.trials import num_scored
from blade_tune.study.create import TrialBudget
from blade_tune.study.stored import StoredStudy

if TYPE_CHECKING:
    import torch

STEPS = 2  # steps of the default batch size that are timed, after as many to warm up


@dataclass(frozen=True)
class Cost:
    """The work that a comparison still has to do for one model, and the time that it takes at most."""

    model: str
    loss: str
    space: str
    free: int  # number of parameters that are searched
    trials_left: int | None  # None where steps or hours are limited
    budget_left: str  # of the search
    runs_left: int  # of the confirmation
    epoch_s: float  # seconds of one epoch, or of the fit, of the default configuration
    evaluation_s: float  # seconds of one evaluation
    epochs_at_most: int  # of all that is left, if nothing is pruned or stopped early
    hours_at_most: float  # for one worker on this device


def estimate(
    definition: StudyDefinition, budget: Budget, settings: RunSettings, device: "torch.device"
) -> Cost:
    """Time a few steps and an evaluation of one model, and count what a comparison still has to do for it.

    Args:
        definition: the model's search, as `compare.define` returns it.
        budget: the budget of each model.
        settings: the run settings that say where data and studies are; the data is prepared if it is not yet.
        device: the device to train on.
    """
    # What is left to do
    stored = search_of(definition, settings)
    runs = find_runs(stored) if stored else None
    num_runs = budget.top * (budget.seeds if is_seeded(definition) else 1)
    runs_done = sum(map(is_complete, runs.trials)) if runs else 0
    runs_left = max(0, num_runs - runs_done)
    # How long it takes
    pace = _pace(definition, prepared(definition, settings), device)
    train = definition.train
    whole_epoch_s = pace.epoch_s + pace.evaluation_s / train.eval_every
    left = _left(budget.of(definition), stored)
    search_epochs = _epochs(left, pace.steps, whole_epoch_s, train.max_epochs)
    epochs = search_epochs + runs_left * train.max_epochs
    return Cost(
        model=definition.model,
        loss=loss_of(definition, {}),
        space=definition.space.place,
        free=len(definition.space.free),
        trials_left=left.trials if left.limit is None else None,
        budget_left=str(left.limit or f"{left.trials} trials"),
        runs_left=runs_left,
        epoch_s=pace.epoch_s,
        evaluation_s=pace.evaluation_s,
        epochs_at_most=epochs,
        hours_at_most=epochs * whole_epoch_s / SECONDS_AN_HOUR,
    )


@dataclass(frozen=True)
class _Left:
    """What a search may still spend."""

    trials: int
    limit: Limit | None


def _left(total: TrialBudget, stored: StoredStudy | None) -> _Left:
    trials = stored.trials if stored else []
    left = max(0, (total.trials or 0) - num_scored(trials))
    limit = total.limit
    if limit:
        limit = replace(limit, total=max(0.0, limit.total - limit.spent(trials)))
    return _Left(left, limit)


def _epochs(left: _Left, steps: int, epoch_s: float, max_epochs: int) -> int:
    """Return the epochs of a search at most, at the pace of the default configuration."""
    epochs = left.trials * max_epochs
    if left.limit is None:
        return epochs
    pace = max(1, steps) if left.limit.unit == "steps" else epoch_s / SECONDS_AN_HOUR
    return min(epochs, math.ceil(left.limit.total / pace))


@dataclass(frozen=True)
class _Pace:
    """How fast the default configuration trains on this device."""

    epoch_s: float
    evaluation_s: float
    steps: int  # of an epoch; 0 of a fitted model


def _pace(definition: StudyDefinition, data: SearchData, device: "torch.device") -> _Pace:
    """Time an epoch, extrapolated from a few steps, or a fit; and an evaluation."""
    values = {**definition.space.fixed, **definition.space.defaults(definition.configs)}
    length = max_length(definition, values)
    from blade_tune.training.device_data import (
        DeviceData,  # these load torch, which reports do not need
    )
    from blade_tune.training.fitting import Fitting
    from blade_tune.trial.objective import build_training

    device_data = DeviceData.for_search(data, length, definition.objective, device)
    training = build_training(definition, values, data, device_data, definition.search.seed)
    steps = 0
    if isinstance(training, Fitting):
        epoch_s = _seconds(training.fit)
    else:
        training.time_steps(STEPS)  # a warm-up: the first steps allocate memory and load kernels
        steps = training.steps_per_epoch
        epoch_s = training.time_steps(STEPS) * steps
    evaluation_s = _seconds(lambda: device_data.evaluator(training.model))
    return _Pace(epoch_s, evaluation_s, steps)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
