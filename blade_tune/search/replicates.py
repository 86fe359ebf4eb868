"""Repeats of a configuration: how often each was tried, which are worth another run, and what they tell of noise."""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, Trial, TrialState

from blade_tune.parameter import Value
from blade_tune.space import Space
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.storage.trials import logical_trials, root_number, trial_values

LEADING_SHARE = 0.05  # of the configurations with a value, the best: of 72 three, and none of the first few
LEADER_RUNS = 2  # beyond the others', to tell a leader from a lucky seed; what wins is for `confirm` to say

Configuration = frozenset[tuple[str, Value]]


def configuration(space: Space, params: Mapping[str, Value]) -> Configuration:
    """What makes two trials repeats of each other: equal values, however their floats were summed up."""
    return frozenset(space.values(params).items())


def given_params(trial: FrozenTrial) -> dict[str, Any]:
    """The parameters that a row has, or will have for it was enqueued with them."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


class History:
    """How often each configuration of a study was run, and which lead by their mean value.

    A trial that was interrupted and continued is one run of its configuration, in whatever state it is.
    """

    def __init__(self, space: Space, trials: Iterable[FrozenTrial]) -> None:
        runs = logical_trials(trials)
        self.num_runs = Counter(configuration(space, params) for params in map(given_params, runs) if params)
        means = {proposed: statistics.fmean(values) for proposed, values in _values(space, runs).items()}
        self._leaders = sorted(means, key=means.__getitem__, reverse=True)[: int(LEADING_SHARE * len(means))]
        is_exhausted = len(self.num_runs) == space.count()
        self._fewest_runs = min(self.num_runs.values()) if is_exhausted else 0

    def is_wanted(self, proposed: Configuration) -> bool:
        """Whether no configuration had fewer runs, or this one leads and had few more."""
        extra = LEADER_RUNS if proposed in self._leaders else 0
        return self.num_runs[proposed] <= self._fewest_runs + extra


def replicate_index(space: Space, trials: Iterable[FrozenTrial], trial: Trial | FrozenTrial) -> int:
    """How many trials before this one have its configuration, all its parameters being suggested.

    Before is by the number of their first row. A trial that goes on keeps what was decided when it started.
    """
    record = TrialRecord(trial)
    if TrialRecord.replicate in record:
        return record.replicate
    own, root = configuration(space, trial.params), root_number(trial)
    earlier = (other for other in logical_trials(trials) if root_number(other) < root)
    return sum(configuration(space, given_params(other)) == own for other in earlier)


@dataclass(frozen=True)
class Noise:
    """What another seed alone changes in a value: a standard deviation, and how well it is known."""

    deviation: float
    degrees_of_freedom: int


def pooled_noise(space: Space, trials: Iterable[FrozenTrial]) -> Noise | None:
    """The standard deviation within configurations, pooled over those that completed twice or more.

    s = sqrt(sum_c sum_i (x_ci - mean_c)^2 / df) with df = sum_c (n_c - 1), over configurations c with n_c >= 2 complete
    runs. Runs of equal seed are one. None where no configuration was repeated.
    """
    groups = [values for values in _values(space, logical_trials(trials)).values() if len(values) > 1]
    if not groups:
        return None
    freedom = sum(len(values) - 1 for values in groups)
    squares = sum((len(values) - 1) * statistics.variance(values) for values in groups)
    return Noise(math.sqrt(squares / freedom), freedom)


def _values(space: Space, trials: Iterable[FrozenTrial]) -> dict[Configuration, list[float]]:
    """Values of complete runs; of two with one seed (workers that met at a configuration) the later."""
    by_seed: defaultdict[Configuration, dict[Any, float]] = defaultdict(dict)
    for trial in trials:
        if trial.state == TrialState.COMPLETE and trial.value is not None:
            seed = TrialRecord(trial).get(TrialRecord.seed, trial.number)
            by_seed[frozenset(trial_values(space, trial).items())][seed] = trial.value
    return {tried: list(values.values()) for tried, values in by_seed.items()}
