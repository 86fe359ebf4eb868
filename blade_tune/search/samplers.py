"""Samplers and pruners as a study names them."""

import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
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
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import FrozenTrial

from blade_tune.parameter import Value
from blade_tune.search.replicates import Configuration, History, configuration, given_params
from blade_tune.space import Space
from blade_tune.spec.definition import PrunerConfig, SearchConfig
from blade_tune.spec.fingerprint import sampler_seed
from blade_tune.training.config import FitConfig, TrainConfig

DRAWS = 8  # of a trial from its sampler; one of TPE takes milliseconds
GP_DRAWS = 2  # one takes up to a second
UNIFORM_DRAWS = 64  # these are cheap; they find a free point that is one of 72 more often than not


class Proposal:
    """All that a sampler proposes for one trial, made without storing it: to `Space.suggest` it is the trial."""

    def __init__(self, sampler: BaseSampler, study: optuna.Study, trial: FrozenTrial) -> None:
        self.sampler = sampler
        self.params = given_params(trial)
        self.distributions: dict[str, BaseDistribution] = {}  # of what was not given
        self._study = study
        self._trial = trial
        joint = sampler.infer_relative_search_space(study, trial)
        self._relative = sampler.sample_relative(study, trial, joint)

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float:
        """As a trial does."""
        return float(self._suggest(name, FloatDistribution(low, high, step=step, log=log), low))

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        """As a trial does."""
        return int(self._suggest(name, IntDistribution(low, high, step=step, log=log), low))

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        """As a trial does."""
        return self._suggest(name, CategoricalDistribution(choices), choices[0])

    def _suggest(self, name: str, distribution: BaseDistribution, first: Value) -> Any:
        if name not in self.params:
            self.distributions[name] = distribution
            self.params[name] = first if distribution.single() else self._sample(name, distribution)
        return self.params[name]

    def _sample(self, name: str, distribution: BaseDistribution) -> Any:
        if name in self._relative:
            return self._relative[name]
        return self.sampler.sample_independent(self._study, self._trial, name, distribution)


class SeededSampler(BaseSampler):
    """Proposes what was not tried before; every draw comes from a sampler of its own seed.

    The seed is a function of the study seed, the trial's number and the draw: a seed shared by all trials would repeat
    the first proposals after each restart and in every worker.

    A configuration that is not wanted (`History.is_wanted`) is drawn again, first by the sampler, then evenly over the
    space. Where no draw is wanted, the one with the fewest runs is repeated. What a row was enqueued with stands in
    every draw.

    Args:
        build: seed -> sampler.
        draws: from such samplers, for one trial.
        study_seed: the study's seed.
        space: what is searched.
    """

    def __init__(self, build: Callable[[int], BaseSampler], draws: int, study_seed: int, space: Space) -> None:
        self._build = build
        self._draws = draws
        self._study_seed = study_seed
        self._space = space

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Make the trial's proposal; gives all that it has to sample."""
        self._proposal = self._propose(study, trial)
        return self._proposal.distributions

    def sample_relative(self, *_: Any) -> dict[str, Any]:
        """The proposal just made."""
        return {name: self._proposal.params[name] for name in self._proposal.distributions}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A parameter that the proposal, and so the space, does not have: as the trial's sampler has it."""
        return self._proposal.sampler.sample_independent(study, trial, param_name, param_distribution)

    def _propose(self, study: optuna.Study, trial: FrozenTrial) -> Proposal:
        trials = optuna.Study.get_trials(study, deepcopy=False)  # all: Hyperband passes a study that shows only a part
        history = History(self._space, trials)
        unwanted: dict[Configuration, Proposal] = {}
        for draw in range(self._draws + UNIFORM_DRAWS):
            build = self._build if draw < self._draws else RandomSampler
            proposal = Proposal(build(sampler_seed(self._study_seed, trial.number, draw)), study, trial)
            self._space.suggest(proposal)
            proposed = configuration(self._space, proposal.params)
            if history.is_wanted(proposed):
                return proposal
            unwanted[proposed] = proposal
        return unwanted[min(unwanted, key=history.num_runs.__getitem__)]


class TPE(TPESampler):
    """Optuna's, for one draw of many: the joint space is kept, where Optuna's would seek it in all trials each time.

    Args:
        seed: of the draw.
        joint: of the study, shared by all draws.
    """

    def __init__(self, seed: int, joint: IntersectionSearchSpace) -> None:
        super().__init__(seed=seed)
        self._joint = joint

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:  # noqa: ARG002
        """As Optuna's: what all complete and pruned trials have, and has more than one value."""
        joint = self._joint.calculate(study, use_cache=True)
        return {name: distribution for name, distribution in joint.items() if not distribution.single()}


class GridSampler(BaseSampler):
    """Every point once, in an order of the study seed: each trial draws among those left with a seed of its own.

    Workers of one seed would draw the same point at the same moment.
    """

    def __init__(self, study_seed: int) -> None:
        self._study_seed = study_seed

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:  # noqa: ARG002
        """Nothing: each parameter is drawn beside those before it."""
        return {}

    def sample_relative(self, *_: Any) -> dict[str, Any]:
        """Nothing."""
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A value under which points are left."""
        seed = sampler_seed(self._study_seed, trial.number, len(trial.params))  # one for all would tie them together
        sampler = _experimental(lambda: BruteForceSampler(seed=seed))
        return sampler.sample_independent(study, trial, param_name, param_distribution)


def build_sampler(search: SearchConfig, space: Space) -> BaseSampler:
    """The sampler of a study.

    A grid has its own way of trying every point once. The points that qmc draws again are the next of its sequence,
    which on a finite grid repeats like any other; what the sequence has no place for, the first trial and conditional
    parameters, is random.
    """
    shared, joint = sampler_seed(search.seed), IntersectionSearchSpace(include_pruned=True)
    if search.sampler == "grid":
        return GridSampler(search.seed)
    builders: dict[str, Callable[[int], BaseSampler]] = {
        "tpe": lambda seed: TPE(seed, joint),
        "random": lambda seed: RandomSampler(seed=seed),
        "gp": lambda seed: _experimental(lambda: GPSampler(seed=seed, deterministic_objective=False)),
        "qmc": lambda seed: _experimental(lambda: _sequence(shared, seed)),
    }
    return SeededSampler(builders[search.sampler], GP_DRAWS if search.sampler == "gp" else DRAWS, search.seed, space)


def _sequence(shared: int, seed: int) -> QMCSampler:
    independent = RandomSampler(seed=seed)
    return QMCSampler(seed=shared, scramble=True, independent_sampler=independent, warn_independent_sampling=False)


def _experimental(build: Callable[[], BaseSampler]) -> BaseSampler:
    """Build what Optuna marks as experimental: Optuna is pinned to one major version and tests try every sampler."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return build()


def build_pruner(config: PrunerConfig, train: TrainConfig | FitConfig) -> BasePruner:
    """The pruner that a study names; steps are epochs, on the study's grid of evaluations. A fit is not pruned."""
    if isinstance(train, FitConfig):
        return NopPruner()
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


def warmup_epochs(config: PrunerConfig, train: TrainConfig | FitConfig) -> int:
    """Epochs in which no trial is pruned."""
    return round(config.warmup * train.max_epochs)


def _first_rung(config: PrunerConfig, train: TrainConfig) -> int:
    """The epoch of the first evaluation after the warm-up, so that rungs lie on the grid of evaluations."""
    return min((warmup_epochs(config, train) // train.eval_every + 1) * train.eval_every, train.max_epochs)
