"""What a comparison will take at most, from a moment of each model's training on this machine."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from blade_tune.data.store import SearchData
from blade_tune.fleet.settings import RunSettings
from blade_tune.selection.compare import Budget, loss_of, prepared, search_of
from blade_tune.selection.confirm import is_seeded
from blade_tune.selection.runs import find_runs, is_complete
from blade_tune.spec.definition import StudyDefinition, max_length
from blade_tune.storage.trials import num_scored
from blade_tune.training.device_data import DeviceData
from blade_tune.training.fitting import Fitting
from blade_tune.trial.objective import build_training

STEPS = 2  # of the default batch size are timed, once they ran before
SECONDS_AN_HOUR = 3600


@dataclass(frozen=True)
class Cost:
    """Of one model: what is done, what is left, and the time of it."""

    model: str
    loss: str
    space: str
    free: int  # parameters that are searched
    trials_left: int
    runs_left: int  # of its confirmation
    epoch_s: float  # one epoch, or fit, of the default configuration
    evaluation_s: float
    epochs_at_most: int  # of all that is left, if nothing were pruned or stopped early
    hours_at_most: float  # of one worker on this device


def estimate(definition: StudyDefinition, budget: Budget, settings: RunSettings, device: torch.device) -> Cost:
    """Time a few steps and an evaluation, and count what a comparison still has to do.

    Args:
        definition: of `compare.define`.
        budget: what every model gets.
        settings: where data and studies are; the data is prepared if it is not yet.
        device: to train on.
    """
    stored = search_of(definition, settings)
    runs = find_runs(stored) if stored else None
    trials_left = max(0, budget.trials - (num_scored(stored.trials) if stored else 0))
    wanted = budget.top * (budget.seeds if is_seeded(definition) else 1)
    runs_left = max(0, wanted - (sum(map(is_complete, runs.trials)) if runs else 0))
    epoch_s, evaluation_s = _pace(definition, prepared(definition, settings), device)
    train = definition.train
    epochs = (trials_left + runs_left) * train.max_epochs
    seconds = epochs * (epoch_s + evaluation_s / train.eval_every)
    return Cost(
        definition.model,
        loss_of(definition, {}),
        definition.space.place,
        len(definition.space.free),
        trials_left,
        runs_left,
        epoch_s,
        evaluation_s,
        epochs,
        seconds / SECONDS_AN_HOUR,
    )


def _pace(definition: StudyDefinition, data: SearchData, device: torch.device) -> tuple[float, float]:
    """Seconds of a fit, or of an epoch from a part of it; and of an evaluation."""
    values = {**definition.space.fixed, **definition.space.defaults(definition.configs)}
    device_data = DeviceData.for_search(data, max_length(definition, values), definition.objective, device)
    training = build_training(definition, values, data, device_data, definition.search.seed)
    if isinstance(training, Fitting):
        fit_s = _seconds(training.fit)
        return fit_s, _seconds(lambda: device_data.evaluator(training.model))
    rows_U, part = training.rows_U, STEPS * training.config.batch_size
    training.rows_U = rows_U[torch.randperm(len(rows_U), device=rows_U.device)[:part]]
    training.train_epoch()  # the first steps are slower: memory, kernels
    epoch_s = _seconds(training.train_epoch) * len(rows_U) / len(training.rows_U)
    return epoch_s, _seconds(lambda: device_data.evaluator(training.model))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
