"""Statistics of a few noisy scores: means, the choice of a winner, and differences between models, with their errors.

Shapes stand in names: C candidates, S seeds, U users, R resamples. Candidates and models are trained on the same seeds
and evaluated on the same users, so the rows and columns of two of them are paired.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import copysign, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# The size of the table of resampled users that is in memory at a time; larger ones are slower.
CELLS = 500_000
ROUNDING = 1e-12  # relative spread below which differences count as one number

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """The mean of independent scores with its confidence interval, which one score alone does not have."""

    mean: float
    # The standard deviation of single scores; it, `low` and `high` are None for one score.
    sd: float | None
    low: float | None  # ends of the interval
    high: float | None
    num: int  # number of scores

    @property
    def error(self) -> float:
        """The standard error of the mean, sd / sqrt(num); 0 where the spread is unknown."""
        return 0.0 if self.sd is None else self.sd / sqrt(self.num)


@dataclass(frozen=True)
class Comparison:
    """The mean of one model minus that of another, its interval, and the two-sided p-value of "both are equal"."""

    difference: float
    low: float
    high: float
    p_value: float


def estimate(values: Sequence[float], level: float = 0.95) -> Estimate:
    """Return the mean and the two-sided t-interval of a candidate that was fixed before its scores were seen.

    For the candidate with the highest mean of several, use `winner_interval`.

    Args:
        values: the scores; for one score there is no interval.
        level: confidence level of the interval.

    Raises:
        ValueError: there are no scores.
    """
    num = len(values)
    if num == 0:
        raise ValueError("A mean needs a value, got none.")
    mean = float(np.mean(values))
    if num == 1:
        return Estimate(mean, None, None, None, num)
    sd = float(np.std(values, ddof=1))
    reach = _t_quantile((1 + level) / 2, num - 1) * sd / sqrt(num)
    return Estimate(mean, sd, mean - reach, mean + reach, num)


def winner_interval(
    values: Sequence[float], num_candidates: int, level: float = 0.95
) -> tuple[float, float]:
    """Return a confidence interval of the mean of a winner, chosen for the highest mean of `num_candidates` candidates.

    With a = 1 - level, k candidates and n values it is mean - t(1 - a/2k) se to mean + t(1 - a/2) se, n - 1 degrees of
    freedom. Lower end: whichever candidate wins, the probability that any of k means exceeds its true value by so much
    is at most a/2 (Bonferroni). Upper end: being chosen for a high mean makes it less likely to be underestimated, so
    P(underestimated and chosen) <= P(underestimated) P(chosen) (Chebyshev's association inequality), which sums to at
    most a/2 over candidates. For one candidate this is the t-interval.

    Args:
        values: the winner's scores, at least two.
        num_candidates: k, the winner included.
        level: confidence level of the interval.

    Returns:
        The lower and the upper end.

    Raises:
        ValueError: there are fewer than two scores.
    """
    if len(values) < 2:
        raise ValueError(f"An interval needs two values, got {len(values)}.")
    mean = float(np.mean(values))
    error = float(np.std(values, ddof=1)) / sqrt(len(values))
    df = len(values) - 1
    tail = (1 - level) / 2
    low = mean - _t_quantile(1 - tail / num_candidates, df) * error
    high = mean + _t_quantile(1 - tail, df) * error
    return low, high


def probability_best(scores_CS: ArrayLike, draws: int = 20_000, seed: int = 0) -> Floats:
    """Return each candidate's probability of having the highest true mean; the probabilities sum to 1.

    A score is modeled as candidate + seed + noise, with noise of equal size for all. Under a flat prior, differences of
    candidates are then multivariate t with (C-1)(S-1) degrees of freedom around those of their means (Box and Tiao
    1973, Bayesian Inference in Statistical Analysis, chapter 2). A probability is the share of draws from this
    distribution in which the candidate has the highest mean.

    Args:
        scores_CS: the scores. Users may stand in for seeds where seeds change nothing.
        draws: number of draws.
        seed: seed of the draws.

    Returns:
        Probabilities of shape (C,).

    Raises:
        ValueError: several candidates have scores on one seed only, which shows no noise.
    """
    scores_CS = np.asarray(scores_CS, dtype=np.float64)
    num_candidates, num_seeds = scores_CS.shape
    if num_candidates == 1:
        return np.ones(1)
    if num_seeds < 2:
        raise ValueError("Who is best needs two seeds a candidate, got one.")
    df = (num_candidates - 1) * (num_seeds - 1)
    error = sqrt(residual_square(scores_CS) / num_seeds)
    rng = np.random.default_rng(seed)
    spread_R1 = error * np.sqrt(df / rng.chisquare(df, size=(draws, 1)))
    # A multivariate t draw: normal noise, whose size is drawn once for all candidates. The seeds' part is left out: it
    # is the same for all candidates, and so changes no order.
    means_RC = scores_CS.mean(axis=1) + spread_R1 * rng.standard_normal((draws, num_candidates))
    leads_RC = means_RC == means_RC.max(axis=1, keepdims=True)
    # A tie is shared.
    shares_RC = leads_RC / leads_RC.sum(axis=1, keepdims=True)
    shares_C: Floats = shares_RC.mean(axis=0)
    return shares_C


def paired_bootstrap(
    first_SU: ArrayLike,
    second_SU: ArrayLike,
    *,
    owed: tuple[float, float] = (0.0, 0.0),
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> Comparison:
    """Test whether two models differ, generalizing to other users and other seeds than those measured.

    The difference at one seed and user is modeled as the sum of a mean, a part of the seed, a part of the user, and a
    rest of its own. The error of the mean is the sum of two independent random draws:

    - seeds: the mean's standard error over seeds, which contains the seeds' parts and the rests, times t with S - 1
      degrees of freedom. Seeds are too few (about five) to be resampled: that would miss the factor sqrt(S / (S - 1))
      and the tails.
    - users: a bootstrap of the users' means over seeds, narrowed to the users' parts, since the rests are counted
      already.

    Without users' parts this is the paired t-test over seeds; with one seed it is the bootstrap of users alone.
    Between the two it is conservative: equal models are found different less often than p-values say.

    A model that was chosen for its figures on these users and seeds may owe a part of its mean to that
    (`out_of_bag.OutOfBag.owed`). How much of it shows in the difference is not known: nothing, where the other model
    profits from the same users; all of it, where it does not. So the interval holds, and the p-value is the largest,
    for every amount from 0 to what is owed.

    Args:
        first_SU: One model's gain at each seed and user, for any metric that is a mean over users, e.g. NDCG@10.
        second_SU: The other model's gains, for the same seeds and users.
        owed: How much of the first and of the second model's mean may be owed to its having been chosen on these.
        resamples: Number of draws; no p-value is below 1 / (resamples + 1).
        seed: Seed of the draws. If the models swap places, the result is mirrored exactly.
        level: Confidence level of the percentile interval.

    Raises:
        ValueError: The two differ in seeds or users.
    """
    gains_SU = differences(first_SU, second_SU)
    difference = float(gains_SU.mean())
    # The error of the mean: that of the users, then that of the seeds
    rng = np.random.default_rng(seed)
    chance_R = chance_of_users(gains_SU, resamples, rng)
    num_seeds = len(gains_SU)
    if num_seeds > 1:
        error = gains_SU.mean(axis=1).std(ddof=1) / sqrt(num_seeds)
        # The sign makes the draws change theirs too if the models swap places.
        signed = SeedError(copysign(error, difference), num_seeds - 1)
        chance_R += chance_of_seeds(signed, resamples, rng)
    return judged(difference, chance_R, level, owed)


def judged(
    difference: float,
    chance_R: Floats,
    level: float = 0.95,
    owed: tuple[float, float] = (0.0, 0.0),
) -> Comparison:
    """Return a difference with its percentile interval and p-value, from draws of its error.

    Args:
        difference: the difference that was found.
        chance_R: draws, centered on 0, of how far it may lie from the truth.
        level: confidence level of the interval.
        owed: how much the difference may be too high and too low, beside chance.
    """
    lowest, highest = difference - owed[0], difference + owed[1]
    # The p-value is that of what is left of the difference at least.
    least = 0.0 if lowest <= 0 <= highest else min(abs(lowest), abs(highest))
    num_extreme = int(np.count_nonzero(np.abs(chance_R) >= least))
    p_value = (1 + num_extreme) / (1 + len(chance_R))
    low, high = np.quantile(chance_R, [(1 - level) / 2, (1 + level) / 2])
    return Comparison(difference, lowest + float(low), highest + float(high), p_value)


@dataclass(frozen=True)
class SeedError:
    """The error that a mean over seeds has because other seeds could have been drawn."""

    size: float  # standard error of the mean
    df: int  # degrees of freedom that it was estimated with


def chance_of_seeds(error: SeedError, resamples: int, rng: np.random.Generator) -> Floats:
    """Return draws of shape (R,), centered on 0, of the error that a mean has because of its seeds."""
    chance_R: Floats = error.size * rng.standard_t(error.df, size=resamples)
    return chance_R


def chance_of_users(gains_SU: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Return draws, centered on 0, of the error that a mean has because other users could have been measured.

    Args:
        gains_SU: the gains whose mean it is.
        resamples: number of draws.
        rng: draws them.

    Returns:
        Draws of shape (R,): a bootstrap of users' means over seeds, narrowed to what is of the users and not of the
        single run.
    """
    num_seeds, num_users = gains_SU.shape
    gains_U = gains_SU.mean(axis=0)
    if np.ptp(gains_U) == 0:  # also true for a single user, which scipy's bootstrap refuses
        return np.zeros(resamples)
    from scipy.stats import bootstrap

    result = bootstrap(
        (gains_U,),
        np.mean,
        n_resamples=resamples,
        batch=max(1, CELLS // num_users),
        vectorized=True,
        method="percentile",
        rng=rng,
    )
    # Of the variance of users' means, the share that is not of the users but of the rests at each seed and user.
    share_of_rests = 0.0
    if num_seeds > 1:
        share_of_rests = residual_square(gains_SU) / (num_seeds * gains_U.var(ddof=1))
    narrowing = sqrt(max(0.0, 1.0 - share_of_rests))
    chance_R: Floats = narrowing * (result.bootstrap_distribution - gains_U.mean())
    return chance_R


def paired_t(
    first_S: Sequence[float], second_S: Sequence[float], level: float = 0.95
) -> Comparison:
    """Test whether two models differ by the paired t-test over seeds, which generalizes to other seeds only.

    Args:
        first_S: one model's score on each seed.
        second_S: the other model's scores, on the same seeds.
        level: confidence level of the interval.

    Raises:
        ValueError: the two differ in their number of seeds, or it is below two.
    """
    gains_S = differences(first_S, second_S)
    if len(gains_S) < 2:
        raise ValueError(f"A t-test needs two seeds, got {len(gains_S)}.")
    difference = float(gains_S.mean())
    # Without a spread scipy would warn.
    if np.abs(gains_S - difference).max() <= ROUNDING * abs(difference):
        p_value = 0.0 if difference else 1.0
        return Comparison(difference, difference, difference, p_value)
    from scipy.stats import ttest_rel  # takes half a second to import, as bootstrap does

    test = ttest_rel(first_S, second_S)
    interval = test.confidence_interval(level)
    return Comparison(difference, float(interval.low), float(interval.high), float(test.pvalue))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for multiple tests by Holm's method (Holm 1979), in the order given."""
    from statsmodels.stats.multitest import multipletests  # type: ignore[import-untyped]  # no type hints; takes 1 s

    if not p_values:
        return []
    _, adjusted, *_ = multipletests(p_values, method="holm")
    return [float(p_value) for p_value in adjusted]


def expected_best(values: Sequence[float], counts: Sequence[int]) -> list[float]:
    """Return the expected highest of n values drawn with replacement, for each n (Dodge et al. 2019, section 3).

    Of N sorted values the i-th is the highest with probability (i/N)^n - ((i-1)/N)^n.

    Args:
        values: the N values, in any order.
        counts: the numbers n of draws.
    """
    ascending = np.sort(values)
    share = np.arange(len(ascending) + 1) / len(ascending)  # i/N for i from 0 to N
    return [float(ascending @ np.diff(share**count)) for count in counts]


def differences(first: ArrayLike, second: ArrayLike) -> Floats:
    """Return first minus second, after checking that their shapes are equal, since NumPy would broadcast them."""
    first = np.asarray(first, dtype=np.float64)
    second = np.asarray(second, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(
            f"Paired scores must have one shape, got {first.shape} and {second.shape}."
        )
    return first - second


def _t_quantile(prob: float, df: int) -> float:
    from scipy.special import stdtrit  # takes a fifth of a second to import

    return float(stdtrit(df, prob))


def residual_square(table: NDArray[Any]) -> float:
    """Return the residual mean square of a table in a two-way analysis of variance without replication."""
    rows, columns = table.shape
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    df = (rows - 1) * (columns - 1)
    return float((residual**2).sum() / df)
