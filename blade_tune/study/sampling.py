"""Samplers and pruners as a study names them."""

import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
)
from optuna.samplers import BaseSampler, BruteForceSampler, GPSampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from blade_tune.study.definition import PrunerConfig, SamplerName
from blade_tune.study.fingerprint import sampler_seed
from blade_tune.training.config import TrainConfig


class SeededSampler(BaseSampler):
    """Gives every trial a sampler of its own seed, a function of the study seed and the trial's number.

    A seed shared by all trials would repeat the first proposals after each restart and in every worker.
    """

    def __init__(self, build: Callable[[int], BaseSampler], study_seed: int) -> None:
        self._build = build
        self._study_seed = study_seed
        self._sampler = build(sampler_seed(study_seed, 0))

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Start the trial's own sampler."""
        self._sampler = self._build(sampler_seed(self._study_seed, trial.number))
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As the trial's sampler has it."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the trial's sampler has it."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As the trial's sampler has it."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, *args: Any) -> None:
        """As the trial's sampler has it."""
        self._sampler.after_trial(*args)


def build_sampler(name: SamplerName, study_seed: int) -> BaseSampler:
    """The sampler called `name`; grid and qmc walk one sequence that all trials of a study share."""
    shared = sampler_seed(study_seed)
    if name == "grid":
        return _experimental(lambda: BruteForceSampler(seed=shared))
    if name == "qmc":  # what its sequence has no place for, the first trial and conditional parameters, is random
        independent = SeededSampler(lambda seed: RandomSampler(seed=seed), study_seed)
        return _experimental(
            lambda: QMCSampler(
                seed=shared, scramble=True, independent_sampler=independent, warn_independent_sampling=False
            )
        )
    builders: dict[str, Callable[[int], BaseSampler]] = {
        "tpe": lambda seed: TPESampler(seed=seed),
        "random": lambda seed: RandomSampler(seed=seed),
        "gp": lambda seed: _experimental(lambda: GPSampler(seed=seed, deterministic_objective=False)),
    }
    return SeededSampler(builders[name], study_seed)


def _experimental(build: Callable[[], BaseSampler]) -> BaseSampler:
    """Build what Optuna marks as experimental: Optuna is pinned to one major version and tests try every sampler."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return build()


def build_pruner(config: PrunerConfig, train: TrainConfig) -> BasePruner:
    """The pruner that a study names; steps are epochs, on the study's grid of evaluations."""
    if config.kind == "percentile":
        return PercentilePruner(config.percentile, config.startup_trials, warmup_epochs(config, train))
    if config.kind == "median":
        return MedianPruner(config.startup_trials, warmup_epochs(config, train))
    if config.kind == "asha":
        return SuccessiveHalvingPruner(
            min_resource=_first_rung(config, train), reduction_factor=config.reduction_factor
        )
    if config.kind == "hyperband":
        return HyperbandPruner(_first_rung(config, train), train.max_epochs, config.reduction_factor)
    return NopPruner()


def warmup_epochs(config: PrunerConfig, train: TrainConfig) -> int:
    """Epochs in which no trial is pruned."""
    return round(config.warmup * train.max_epochs)


def _first_rung(config: PrunerConfig, train: TrainConfig) -> int:
    """The epoch of the first evaluation after the warm-up, so that rungs lie on the grid of evaluations."""
    return min((warmup_epochs(config, train) // train.eval_every + 1) * train.eval_every, train.max_epochs)
