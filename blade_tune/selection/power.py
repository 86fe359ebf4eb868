"""How large a difference must be to be found: the power of the comparisons that tables make, before they are made.

Shapes stand in names: S seeds, U users, Q and N quantiles.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from math import sqrt

import numpy as np

from blade_tune.selection.statistics import Floats, residual_square

LEVEL = 0.05  # of the tests, over all pairs of a table
ENOUGH = 0.8  # the chance of finding a difference that counts as enough
MOST_SEEDS = 200  # the largest number of seeds that is looked at
SHOWN, DRAWN = (
    100,
    1_000,
)  # quantiles of the noise that seeds happen to show, and of that which the test draws
STEPS = 40  # of halving an interval
PRECISION = 1e-3  # relative, of a difference


@dataclass(frozen=True)
class Plan:
    """The size of a comparison."""

    users: int
    seeds: int  # runs of each model
    pairs: int  # tests of a table, over which p-values are corrected


@dataclass(frozen=True)
class PairNoise:
    """What makes the difference of two models vary, as variances of the difference at one user and seed."""

    users: float  # between users, the same on all seeds
    seeds: float  # between seeds, the same for all users
    rests: float  # of each user on each seed

    @classmethod
    def of(cls, differences_SU: Floats) -> "PairNoise":
        """Return the noise of a measured difference, by a two-way analysis of variance.

        Args:
            differences_SU: one model's gains minus the other's. With one seed all noise counts as that of users.
        """
        num_seeds, num_users = differences_SU.shape
        users = float(differences_SU.mean(axis=0).var(ddof=1))
        if num_seeds == 1:
            return cls(users, 0.0, 0.0)
        rests = residual_square(differences_SU)
        seeds = float(differences_SU.mean(axis=1).var(ddof=1))
        return cls(
            users=max(0.0, users - rests / num_seeds),
            seeds=max(0.0, seeds - rests / num_users),
            rests=rests,
        )

    @classmethod
    def between(cls, pairs: Iterable[tuple[Floats, Floats]]) -> "PairNoise":
        """Return the mean noise of several pairs of models.

        Args:
            pairs: the gains_SU of both; a model that no seed changes has a single row.
        """
        noises = [cls.of(first_SU - second_SU) for first_SU, second_SU in pairs]
        users, seeds, rests = np.mean([(n.users, n.seeds, n.rests) for n in noises], axis=0)
        return cls(float(users), float(seeds), float(rests))

    def of_users(self, plan: Plan) -> float:
        """Return the variance that the mean difference has because of its users."""
        return self.users / plan.users

    def of_seeds(self, plan: Plan) -> float:
        """Return the variance that the mean difference has because of its seeds."""
        return (self.seeds + self.rests / plan.users) / plan.seeds


def power(difference: float, noise: PairNoise, plan: Plan) -> float:
    """Return the chance that `statistics.paired_bootstrap` finds a true difference at 5%, corrected over the pairs.

    Holm's correction asks the smallest p-value for as much as Bonferroni's, and every further one for less. This is the
    chance where no other pair differs, so that of the first one. The test knows the noise of seeds from S runs only:
    the chance is averaged over what they happen to show.

    Args:
        difference: the true mean of one model minus that of the other.
        noise: what their difference varies by.
        plan: users, seeds and pairs.
    """
    from scipy.special import ndtr  # takes a fifth of a second to import

    error = sqrt(noise.of_users(plan) + noise.of_seeds(plan))
    if error == 0.0:
        return float(difference != 0.0)
    size, critical_Q = abs(difference), _critical(noise, plan)
    found_Q = ndtr((size - critical_Q) / error) + ndtr((-size - critical_Q) / error)
    return float(found_Q.mean())


def smallest_difference(noise: PairNoise, plan: Plan, chance: float = ENOUGH) -> float:
    """Return the smallest true difference that is found with a chance."""
    high = sqrt(noise.of_users(plan) + noise.of_seeds(plan))
    if high == 0.0:
        return 0.0
    while power(high, noise, plan) < chance:
        high *= 2
    from scipy.optimize import brentq  # takes a fifth of a second to import

    def beyond_chance(difference: float) -> float:
        return power(difference, noise, plan) - chance

    return float(brentq(beyond_chance, 0.0, high, rtol=PRECISION))


def seeds_needed(
    difference: float, noise: PairNoise, plan: Plan, chance: float = ENOUGH
) -> int | None:
    """Return the fewest seeds on which a true difference is found with a chance; None if `MOST_SEEDS` are too few.

    Args:
        difference: the true difference.
        noise: what it varies by.
        plan: users and pairs; its seeds do not matter.
        chance: the chance of finding it.
    """

    def is_enough(seeds: int) -> bool:
        return power(difference, noise, Plan(plan.users, seeds, plan.pairs)) >= chance

    counts = range(2, MOST_SEEDS + 1)
    place = bisect_left(counts, True, key=is_enough)
    return counts[place] if place < len(counts) else None


@cache
def _critical(noise: PairNoise, plan: Plan) -> Floats:
    """Return the difference from which on the test finds one, for each of what noise the seeds happen to show.

    The test sees the sum of a normal draw for users and of Student's t for seeds. Student's t is a normal draw whose
    variance is drawn too, so the probability of exceeding a value by chance is a mean of normal ones.
    """
    from scipy.special import ndtr

    tail = LEVEL / (2 * plan.pairs)
    shown_Q, scales_N = np.zeros(1), np.zeros(1)
    if plan.seeds > 1:
        shown_Q = noise.of_seeds(plan) * _variance_shares(plan.seeds - 1, SHOWN)
        scales_N = 1 / _variance_shares(plan.seeds - 1, DRAWN)
    sd_QN = np.sqrt(noise.of_users(plan) + shown_Q[:, None] * scales_N)
    low_Q, high_Q = np.zeros(len(shown_Q)), 5 * sd_QN.max(axis=1)
    for _ in range(STEPS):
        middle_Q = (low_Q + high_Q) / 2
        with np.errstate(divide="ignore"):
            beyond_Q = ndtr(-middle_Q[:, None] / sd_QN).mean(axis=1)
        is_low_Q = beyond_Q > tail
        low_Q, high_Q = np.where(is_low_Q, middle_Q, low_Q), np.where(is_low_Q, high_Q, middle_Q)
    return high_Q


def _variance_shares(df: int, count: int) -> Floats:
    """Return quantiles of the estimated variance over the true one, all equally likely."""
    from scipy.special import chdtri

    upper_N = 1 - (np.arange(count) + 0.5) / count
    shares_N: Floats = chdtri(df, upper_N) / df
    return shares_N
