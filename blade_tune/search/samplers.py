"""Samplers and pruners, built from the names and settings in a study file.

Optuna's samplers are made for one process that proposes one trial after another. Here many workers ask at once and may
be restarted at any time, so `SeededSampler` wraps them: it draws each proposal from a sampler of a seed of its own, and
draws again where a configuration was tried before.
"""

import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
)
from optuna.samplers import (
    BaseSampler,
    BruteForceSampler,
    GPSampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import FrozenTrial

from blade_tune.parameter import Value
from blade_tune.search.replicates import Configuration, History, configuration, given_params
from blade_tune.space import Space
from blade_tune.spec.fingerprint import sampler_seed
from blade_tune.spec.study_file import PrunerConfig, SearchConfig
from blade_tune.storage.trial_record import Given
from blade_tune.storage.trials import is_promoted, is_scored, scored_trials
from blade_tune.training.config import FitConfig, TrainConfig

DRAWS = 8  # at most from the sampler for one trial; a draw of TPE takes milliseconds
GP_DRAWS = 2  # at most from the Gaussian process, whose draws take up to a second
# At most, evenly from the whole space: they are cheap, and probably find one free point among 72.
UNIFORM_DRAWS = 64


class Proposal:
    """All parameters that a sampler proposes for one trial, without storing them.

    A proposal takes the place of a trial in `Space.suggest`, so that a whole configuration is known, and can be
    rejected, before any of its parameters is written to the database.

    Args:
        sampler: the sampler to draw from.
        study: the study.
        trial: the trial for which to propose; parameters that it has or was enqueued with are not drawn.
    """

    def __init__(self, sampler: BaseSampler, study: optuna.Study, trial: FrozenTrial) -> None:
        self.sampler = sampler
        self.params = given_params(trial)
        self.distributions: dict[str, BaseDistribution] = {}  # of the parameters that were drawn
        self._study = study
        self._trial = trial
        joint = sampler.infer_relative_search_space(study, trial)
        self._relative = sampler.sample_relative(study, trial, joint)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float:
        """Draw a float, with the arguments of Optuna's `Trial.suggest_float`."""
        distribution = FloatDistribution(low, high, step=step, log=log)
        return float(self._suggest(name, distribution, low))

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        """Draw an integer, with the arguments of Optuna's `Trial.suggest_int`."""
        distribution = IntDistribution(low, high, step=step, log=log)
        return int(self._suggest(name, distribution, low))

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        """Draw one of some choices, with the arguments of Optuna's `Trial.suggest_categorical`."""
        return self._suggest(name, CategoricalDistribution(choices), choices[0])

    def _suggest(self, name: str, distribution: BaseDistribution, first: Value) -> Any:
        if name not in self.params:
            self.distributions[name] = distribution
            only_one = distribution.single()
            self.params[name] = first if only_one else self._sample(name, distribution)
        return self.params[name]

    def _sample(self, name: str, distribution: BaseDistribution) -> Any:
        """Return what the sampler drew for all parameters together, or draw a parameter that it left out."""
        if name in self._relative:
            return self._relative[name]
        return self.sampler.sample_independent(self._study, self._trial, name, distribution)


class ProposedTrials:
    """A view of a study for its sampler, in which every trial that the sampler proposed is one row.

    It leaves out the rows that were given a configuration, which has no parameters. Of a promoted trial it shows the
    latest row with a score: the paused row until the row that goes on with it has ended.

    Args:
        study: the study, whose other attributes are the view's.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(self, *args: Any, **kwargs: Any) -> list[FrozenTrial]:
        trials = self._study._get_trials(*args, **kwargs)
        proposed = [trial for trial in trials if Given.of(trial) is None]
        shown = {trial.number for trial in scored_trials(proposed)}
        return [
            trial
            for trial in proposed
            if trial.number in shown or not (is_scored(trial) or is_promoted(trial))
        ]


class SeededSampler(BaseSampler):
    """A sampler that proposes configurations not tried before, drawing each proposal on a seed of its own.

    The seed of a draw is a function of the study's seed, the trial's number and the index of the draw. With one seed
    for all trials, the first proposals would be repeated after each restart and in every worker.

    A configuration that is not worth another run (`History.is_wanted`) is drawn again, first by the sampler, then
    evenly over the space. Where no draw is wanted, the drawn configuration with the fewest runs is repeated. The
    parameters with which a row was enqueued are the same in every draw.

    Args:
        build: a function that returns a sampler of a given seed.
        draws: how many such samplers to try for one trial before drawing evenly.
        study_seed: the seed of the study.
        space: the search space.
    """

    def __init__(
        self, build: Callable[[int], BaseSampler], draws: int, study_seed: int, space: Space
    ) -> None:
        self._build = build
        self._draws = draws
        self._study_seed = study_seed
        self._space = space

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Make the whole proposal for a trial, and return the distributions of the parameters in it.

        Optuna calls this method once for each trial, before `sample_relative`.
        """
        self._proposal = self._propose(study, trial)
        return self._proposal.distributions

    def sample_relative(self, *_: Any) -> dict[str, Any]:
        """Return the parameters of the proposal that `infer_relative_search_space` made."""
        return {name: self._proposal.params[name] for name in self._proposal.distributions}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw a parameter that the proposal, and so the space, does not have, from the proposal's sampler."""
        return self._proposal.sampler.sample_independent(
            study, trial, param_name, param_distribution
        )

    def _propose(self, study: optuna.Study, trial: FrozenTrial) -> Proposal:
        # Hyperband passes a study whose own `get_trials` shows only the trials of one bracket; all of them count here.
        trials = optuna.Study.get_trials(study, deepcopy=False)
        history = History(self._space, trials)
        if any(Given.of(row) or is_promoted(row) for row in trials):
            study = ProposedTrials(study)  # type: ignore[assignment]  # a view of it
        unwanted: dict[Configuration, Proposal] = {}
        for draw in range(self._draws + UNIFORM_DRAWS):
            build = self._build if draw < self._draws else RandomSampler
            sampler = build(sampler_seed(self._study_seed, trial.number, draw))
            proposal = Proposal(sampler, study, trial)
            self._space.suggest(proposal)  # which fills the proposal
            proposed = configuration(self._space, proposal.params)
            # A row that goes on with another has all of its parameters already, and none is drawn.
            if history.is_wanted(proposed) or not proposal.distributions:
                return proposal
            unwanted[proposed] = proposal
        return unwanted[min(unwanted, key=history.num_runs.__getitem__)]


class TPE(TPESampler):
    """Optuna's TPE sampler for a single draw, with the search for the joint space shared among draws.

    Optuna's own sampler looks for the parameters that all trials have in common in all trials again for each new
    sampler. Here one cache of the study serves all draws.

    Args:
        seed: the seed of the draw.
        joint: the cache, which also computes the joint space.
    """

    def __init__(self, seed: int, joint: IntersectionSearchSpace) -> None:
        super().__init__(seed=seed)
        self._joint = joint

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the parameters with more than one value that all complete and pruned trials have, as Optuna does."""
        joint = self._joint.calculate(study, use_cache=True)
        return {
            name: distribution for name, distribution in joint.items() if not distribution.single()
        }


class GridSampler(BaseSampler):
    """A sampler that tries every point of a finite space once, in an order that depends on the study's seed.

    Each trial draws among the points that are left, on a seed of its own, because workers of one seed would draw the
    same point at the same moment.

    Args:
        study_seed: the seed of the study.
    """

    def __init__(self, study_seed: int) -> None:
        self._study_seed = study_seed

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return no joint space, since each parameter is drawn on its own, after those before it."""
        return {}

    def sample_relative(self, *_: Any) -> dict[str, Any]:
        """Return no parameters, since none are drawn together."""
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw a value of a parameter under which points are left that were not tried."""
        # A seed for each parameter, as one for all would make their draws depend on each other.
        seed = sampler_seed(self._study_seed, trial.number, len(trial.params))
        sampler = _experimental(lambda: BruteForceSampler(seed=seed))
        return sampler.sample_independent(study, trial, param_name, param_distribution)


def build_sampler(search: SearchConfig, space: Space) -> BaseSampler:
    """Return the sampler that a study's search settings name.

    `grid` tries every point once by itself; all other samplers are wrapped in a `SeededSampler`. `qmc` has one sequence
    for all trials, so where one of its points is drawn again, the next of the sequence follows; the first trial and
    conditional parameters, for which the sequence has no place, are drawn at random.

    Args:
        search: the search settings of the study.
        space: the search space.
    """
    if search.sampler == "grid":
        return GridSampler(search.seed)
    # What all draws share
    joint = IntersectionSearchSpace(include_pruned=True)
    shared_seed = sampler_seed(search.seed)
    # How each draw's sampler is built of the draw's seed
    builders: dict[str, Callable[[int], BaseSampler]] = {
        "tpe": lambda seed: TPE(seed, joint),
        "random": lambda seed: RandomSampler(seed=seed),
        "gp": _gaussian_process,
        "qmc": lambda seed: _experimental(lambda: _sequence(shared_seed, seed)),
    }
    draws = GP_DRAWS if search.sampler == "gp" else DRAWS
    return SeededSampler(builders[search.sampler], draws, search.seed, space)


def _gaussian_process(seed: int) -> BaseSampler:
    return _experimental(lambda: GPSampler(seed=seed, deterministic_objective=False))


def _sequence(shared: int, seed: int) -> QMCSampler:
    """Return a sampler of the quasi-random sequence of the seed `shared`, which draws on `seed` where it is random."""
    independent = RandomSampler(seed=seed)
    return QMCSampler(
        seed=shared, scramble=True, independent_sampler=independent, warn_independent_sampling=False
    )


def _experimental(build: Callable[[], BaseSampler]) -> BaseSampler:
    """Build a sampler that Optuna marks as experimental, without the warning.

    The mark is no risk here, as Optuna is pinned to one major version and tests try every sampler.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return build()


def build_pruner(config: PrunerConfig, train: TrainConfig | FitConfig) -> BasePruner:
    """Return the pruner that a study names, whose steps are epochs.

    With `promote` no trial is pruned: `promotion` says which trials pause.

    Args:
        config: the settings of the pruner.
        train: the training settings that the study fixes; a model that is fitted at once is never pruned.
    """
    if isinstance(train, FitConfig):
        return NopPruner()
    warmup = warmup_epochs(config, train)
    first_rung = _first_rung(config, train)
    if config.kind == "percentile":
        return PercentilePruner(config.percentile, config.startup_trials, warmup)
    if config.kind == "median":
        return MedianPruner(config.startup_trials, warmup)
    if config.kind == "asha":
        return SuccessiveHalvingPruner(
            min_resource=first_rung, reduction_factor=config.reduction_factor
        )
    if config.kind == "hyperband":
        return HyperbandPruner(first_rung, train.max_epochs, config.reduction_factor)
    return NopPruner()


def warmup_epochs(config: PrunerConfig, train: TrainConfig | FitConfig) -> int:
    """Return the number of epochs at the start of a training in which no trial is pruned."""
    return round(config.warmup * train.max_epochs)


def _first_rung(config: PrunerConfig, train: TrainConfig) -> int:
    """Return the epoch of the first evaluation after the warm-up, so that rungs are epochs with an evaluation."""
    num_evaluations = warmup_epochs(config, train) // train.eval_every  # in the warm-up
    first = (num_evaluations + 1) * train.eval_every
    return min(first, train.max_epochs)
