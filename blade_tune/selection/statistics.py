"""What a handful of noisy scores can tell: means, winners and differences, with their errors.

Shapes stand in names: C candidates, S seeds, U users, R resamples. Candidates and models are trained on the same seeds
and evaluated on the same users, so rows and columns of two of them belong together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import copysign, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

CELLS = 500_000  # of a table of resampled users that is in memory at a time; larger ones are slower
ROUNDING = 1e-12  # relative: differences that spread less are one number

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean of independent scores; one score alone says nothing of its spread."""

    mean: float
    sd: float | None  # of single scores
    low: float | None
    high: float | None
    num: int

    @property
    def error(self) -> float:
        """The standard error of the mean, sd / sqrt(num); 0 where the spread is unknown."""
        return 0.0 if self.sd is None else self.sd / sqrt(self.num)


@dataclass(frozen=True)
class Comparison:
    """The mean of one model minus that of another, its interval, and the two-sided p-value of "they are equal"."""

    difference: float
    low: float
    high: float
    p_value: float


def estimate(values: Sequence[float], level: float = 0.95) -> Estimate:
    """Mean and two-sided t-interval of a candidate that was fixed before its scores were seen."""
    num = len(values)
    if num == 0:
        raise ValueError("A mean needs a value, got none.")
    mean = float(np.mean(values))
    if num == 1:
        return Estimate(mean, None, None, None, num)
    sd = float(np.std(values, ddof=1))
    reach = _t_quantile((1 + level) / 2, num - 1) * sd / sqrt(num)
    return Estimate(mean, sd, mean - reach, mean + reach, num)


def winner_interval(values: Sequence[float], num_candidates: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of the mean of the candidate that was chosen for having the highest mean of `num_candidates`.

    With a = 1 - level, k candidates and n values it is mean - t(1 - a/2k) se to mean + t(1 - a/2) se, n - 1 degrees of
    freedom. Below: whoever wins, that any of k means exceeds its truth by so much has at most probability a/2
    (Bonferroni). Above: being chosen for a high mean makes it less likely to be underestimated, so
    P(underestimated and chosen) <= P(underestimated) P(chosen) (Chebyshev's association inequality), which sums to at
    most a/2 over candidates. One candidate has the t-interval.
    """
    if len(values) < 2:
        raise ValueError(f"An interval needs two values, got {len(values)}.")
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / sqrt(len(values))
    tail, df = (1 - level) / 2, len(values) - 1
    return mean - _t_quantile(1 - tail / num_candidates, df) * error, mean + _t_quantile(1 - tail, df) * error


def probability_best(scores_CS: ArrayLike, draws: int = 20_000, seed: int = 0) -> Floats:
    """Probability of each candidate to have the highest true mean; they sum to 1.

    A score is candidate + seed + noise, the noise of equal size for all. Under a flat prior differences of candidates
    are then multivariate t with (C-1)(S-1) degrees of freedom around those of their means (Box and Tiao 1973, Bayesian
    Inference in Statistical Analysis, chapter 2). Counted is the share of draws that a candidate leads.

    Raises:
        ValueError: If several candidates have one seed only, which shows no noise.
    """
    scores_CS = np.asarray(scores_CS, dtype=np.float64)
    num_candidates, num_seeds = scores_CS.shape
    if num_candidates == 1:
        return np.ones(1)
    if num_seeds < 2:
        raise ValueError("Who is best needs two seeds a candidate, got one.")
    df = (num_candidates - 1) * (num_seeds - 1)
    error = sqrt(_residual_square(scores_CS) / num_seeds)
    rng = np.random.default_rng(seed)
    spread_R1 = error * np.sqrt(df / rng.chisquare(df, size=(draws, 1)))
    means_RC = scores_CS.mean(axis=1) + spread_R1 * rng.standard_normal((draws, num_candidates))
    leads_RC = means_RC == means_RC.max(axis=1, keepdims=True)
    shares_C: Floats = (leads_RC / leads_RC.sum(axis=1, keepdims=True)).mean(axis=0)  # those who tie share a draw
    return shares_C


def paired_bootstrap(
    first_SU: ArrayLike,
    second_SU: ArrayLike,
    *,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> Comparison:
    """Whether two models differ for other users and other seeds than those at hand.

    The difference of a seed and user is the sum of a mean, a seed's, a user's and their own part. Chance is drawn twice
    and added:

    - seeds: the mean's standard error over seeds, which holds the seeds' and the own parts, times t with S - 1 degrees
      of freedom. As few as five are not resampled: it would miss the factor sqrt(S / (S - 1)) and the tails.
    - users: a bootstrap of users' means over seeds, narrowed to the users' part: own parts are in already.

    Without a users' part it is the paired t-test over seeds; with one seed it is the bootstrap of users alone.
    Between the two it errs on the side of caution: equal models are found different less often than p-values say.

    Args:
        first_SU: Gains of each seed and user, e.g. NDCG@10; any mean over users does.
        second_SU: Those of the other model, same seeds, same users.
        resamples: Draws of chance; no p-value is below 1 / (resamples + 1).
        seed: Of the draws. Models that swap places mirror the result.
        level: Of the interval, which is percentile.

    Raises:
        ValueError: If the two differ in seeds or users.
    """
    gains_SU = _differences(first_SU, second_SU)
    difference = float(gains_SU.mean())
    rng = np.random.default_rng(seed)
    chance_R = _chance_of_users(gains_SU, resamples, rng)
    num_seeds = len(gains_SU)
    if num_seeds > 1:
        error = gains_SU.mean(axis=1).std(ddof=1) / sqrt(num_seeds)
        chance_R += copysign(error, difference) * rng.standard_t(num_seeds - 1, size=resamples)  # a sign, to mirror
    num_extreme = int(np.count_nonzero(np.abs(chance_R) >= abs(difference)))
    low, high = difference + np.quantile(chance_R, [(1 - level) / 2, (1 + level) / 2])
    return Comparison(difference, float(low), float(high), (1 + num_extreme) / (1 + resamples))


def paired_t(first_S: Sequence[float], second_S: Sequence[float], level: float = 0.95) -> Comparison:
    """The paired t-test over seeds: whether two models differ for other seeds, the users being these."""
    gains_S = _differences(first_S, second_S)
    if len(gains_S) < 2:
        raise ValueError(f"A t-test needs two seeds, got {len(gains_S)}.")
    difference = float(gains_S.mean())
    if np.abs(gains_S - difference).max() <= ROUNDING * abs(difference):  # scipy would warn
        return Comparison(difference, difference, difference, 0.0 if difference else 1.0)
    test = stats.ttest_rel(first_S, second_S)
    interval = test.confidence_interval(level)
    return Comparison(difference, float(interval.low), float(interval.high), float(test.pvalue))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for being several (Holm 1979), in the order given."""
    from statsmodels.stats.multitest import multipletests  # type: ignore[import-untyped]  # no type hints; takes 1 s

    return [float(p_value) for p_value in multipletests(p_values, method="holm")[1]] if p_values else []


def expected_best(values: Sequence[float], counts: Sequence[int]) -> list[float]:
    """Expected highest of n values drawn with replacement, for each n of `counts` (Dodge et al. 2019, section 3).

    Of N sorted values the i-th is the highest with probability (i/N)^n - ((i-1)/N)^n.
    """
    ascending = np.sort(values)
    share = np.arange(len(ascending) + 1) / len(ascending)  # of values up to the i-th
    return [float(ascending @ np.diff(share**count)) for count in counts]


def _differences(first: ArrayLike, second: ArrayLike) -> Floats:
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"Paired scores must have one shape, got {first.shape} and {second.shape}.")
    return first - second


def _t_quantile(prob: float, df: int) -> float:
    return float(stats.t.ppf(prob, df))


def _residual_square(table: NDArray[Any]) -> float:
    """Mean square of what rows and columns leave unexplained; two-way analysis of variance without replication."""
    rows, columns = table.shape
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    return float((residual**2).sum() / ((rows - 1) * (columns - 1)))


def _chance_of_users(gains_SU: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """By how much the mean over users would differ for other users of the same kind; around 0."""
    num_seeds, num_users = gains_SU.shape
    gains_U = gains_SU.mean(axis=0)
    if np.ptp(gains_U) == 0:  # one user, too: scipy refuses it
        return np.zeros(resamples)
    batch = max(1, CELLS // num_users)
    result = stats.bootstrap(
        (gains_U,), np.mean, n_resamples=resamples, batch=batch, vectorized=True, method="percentile", rng=rng
    )
    own_share = _residual_square(gains_SU) / (num_seeds * gains_U.var(ddof=1)) if num_seeds > 1 else 0.0
    chance_R: Floats = sqrt(max(0.0, 1.0 - own_share)) * (result.bootstrap_distribution - gains_U.mean())
    return chance_R
