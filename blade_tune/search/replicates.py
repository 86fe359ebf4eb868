"""Repeats of a configuration on other seeds: how often each was run, which to run again, and the noise of values.

A trial's value depends on its seed, so a leading configuration may only have been lucky. Repeats of the leaders guard
the sampler against that, and the spread of all repeats measures how far another seed alone moves a value.
"""

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

# The best configurations that count as leaders, as a share of those with a value, rounded down: 3 of 72, 0 of under 20.
LEADING_SHARE = 0.05
# Runs that a leader may have beyond the others, to tell it from a lucky seed; `blade-tune confirm` settles who wins.
LEADER_RUNS = 2

Configuration = frozenset[tuple[str, Value]]


def configuration(space: Space, params: Mapping[str, Value]) -> Configuration:
    """Return the configuration of a trial's parameters in a form by which repeats are equal.

    Values are those of the space, so that floats that were computed in another way do not differ in their last bits.
    """
    return frozenset(space.values(params).items())


def given_params(trial: FrozenTrial) -> dict[str, Any]:
    """Return the parameters that a row has, together with those that it was enqueued with and will have."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


class History:
    """How often each configuration of a study was run, and which ones lead by their mean value.

    A trial counts as one run of its configuration in whatever state it is, and once if it was interrupted and
    continued.

    Args:
        space: the search space.
        trials: all rows of the study, in order of number.
    """

    def __init__(self, space: Space, trials: Iterable[FrozenTrial]) -> None:
        runs = logical_trials(trials)
        # How often each configuration was run
        params_of_runs = map(given_params, runs)
        self.num_runs = Counter(configuration(space, params) for params in params_of_runs if params)
        # Which ones lead
        values_of = _values(space, runs)
        means = {proposed: statistics.fmean(values) for proposed, values in values_of.items()}
        best_first = sorted(means, key=means.__getitem__, reverse=True)
        self._leaders = best_first[: int(LEADING_SHARE * len(means))]
        # Only a finite space whose every configuration was run leaves nothing new; then all may be repeated evenly.
        is_exhausted = len(self.num_runs) == space.count()
        self._fewest_runs = min(self.num_runs.values()) if is_exhausted else 0

    def is_wanted(self, proposed: Configuration) -> bool:
        """Whether a configuration is worth another run.

        It is if no other has had fewer runs, or if it leads and has had at most `LEADER_RUNS` more than the fewest.
        """
        extra = LEADER_RUNS if proposed in self._leaders else 0
        return self.num_runs[proposed] <= self._fewest_runs + extra


def replicate_index(space: Space, trials: Iterable[FrozenTrial], trial: Trial | FrozenTrial) -> int:
    """Return how many earlier trials have the same configuration as a trial.

    Trials are ordered by the number of their first row. A trial that continues an interrupted one keeps the index that
    was stored when it first started, and with it its seed.

    Args:
        space: the search space.
        trials: all rows of the study, in order of number.
        trial: the trial, all of whose parameters are suggested.
    """
    record = TrialRecord(trial)
    if TrialRecord.replicate in record:
        return record.replicate
    own = configuration(space, trial.params)
    root = root_number(trial)
    earlier = (other for other in logical_trials(trials) if root_number(other) < root)
    return sum(configuration(space, given_params(other)) == own for other in earlier)


@dataclass(frozen=True)
class Noise:
    """How far another seed alone moves a trial's value."""

    deviation: float  # the standard deviation, in units of the objective's metric
    degrees_of_freedom: int  # from how many repeats it was estimated


def pooled_noise(space: Space, trials: Iterable[FrozenTrial]) -> Noise | None:
    """Estimate the noise of a study's values from configurations that completed twice or more.

    The estimate is the pooled standard deviation within configurations, s = sqrt(sum_c sum_i (x_ci - mean_c)^2 / df)
    with df = sum_c (n_c - 1), over configurations c with n_c >= 2 complete runs. Runs of equal seed count as one.

    Returns:
        None where no configuration was repeated.
    """
    values_of = _values(space, logical_trials(trials))
    groups = [values for values in values_of.values() if len(values) > 1]
    if not groups:
        return None
    # The sum of squares of a group is its variance, times its degrees of freedom.
    df = 0
    squares = 0.0
    for values in groups:
        df += len(values) - 1
        squares += (len(values) - 1) * statistics.variance(values)
    return Noise(math.sqrt(squares / df), df)


def _values(space: Space, trials: Iterable[FrozenTrial]) -> dict[Configuration, list[float]]:
    """Return the values of the complete runs of each configuration.

    Two workers may propose one configuration at the same moment and train it on the same seed. Of such runs only the
    later counts.
    """
    by_seed: defaultdict[Configuration, dict[Any, float]] = defaultdict(dict)
    for trial in trials:
        if trial.state == TrialState.COMPLETE and trial.value is not None:
            tried = frozenset(trial_values(space, trial).items())
            seed = TrialRecord(trial).get(TrialRecord.seed, trial.number)
            by_seed[tried][seed] = trial.value
    return {tried: list(values.values()) for tried, values in by_seed.items()}
