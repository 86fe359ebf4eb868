"""Selection simulated: what is chosen for having scored high, and what fresh seeds say of it."""

from collections.abc import Callable
from math import sqrt

import numpy as np
import pytest

from blade_tune.selection.statistics import estimate, winner_interval

NUM_STUDIES, NUM_TRIALS, NUM_CANDIDATES, NUM_SEEDS = 2_000, 200, 5, 5

Interval = Callable[[np.ndarray], tuple[float | None, float | None]]


@pytest.fixture(scope="module")
def studies() -> dict[str, np.ndarray]:
    """Searches whose noise is as large as what they search for; their top five are trained again on five seeds.

    N studies, T trials, C candidates by search score, the highest first.
    """
    rng = np.random.default_rng(0)
    truth_NT = rng.normal(size=(NUM_STUDIES, NUM_TRIALS))
    search_NT = truth_NT + rng.normal(size=truth_NT.shape)
    top_NC = np.argsort(-search_NT, axis=1)[:, :NUM_CANDIDATES]
    truth_NC = np.take_along_axis(truth_NT, top_NC, axis=1)
    scores_NCS = truth_NC[..., None] + rng.normal(size=(*truth_NC.shape, NUM_SEEDS))
    means_NC = np.array(
        [[estimate(scores_S).mean for scores_S in scores_CS] for scores_CS in scores_NCS]
    )
    return {
        "best_N": truth_NT.max(axis=1),
        "truth_NC": truth_NC,
        "search_NC": np.take_along_axis(search_NT, top_NC, axis=1),
        "means_NC": means_NC,
        "winner_N": means_NC.argmax(axis=1),
    }


def errors_above_zero(values_N: np.ndarray) -> float:
    """How many standard errors their mean lies above zero."""
    return values_N.mean() / (values_N.std(ddof=1) / sqrt(len(values_N)))


def test_a_confirmed_choice_is_regretted_less(studies):
    """Over 2,000 studies the winner of fresh seeds falls less short of the best trial than the search's first does."""
    truth_NC, best_N = studies["truth_NC"], studies["best_N"]
    regret_of_first_N = best_N - truth_NC[:, 0]
    regret_of_winner_N = best_N - truth_NC[np.arange(NUM_STUDIES), studies["winner_N"]]
    assert errors_above_zero(regret_of_first_N - regret_of_winner_N) > 10
    assert regret_of_winner_N.mean() < 0.8 * regret_of_first_N.mean()


def test_the_search_s_first_looks_better_than_it_is(studies):
    """The highest of many noisy scores is too high on average; fresh seeds of the same configuration are right."""
    truth_N = studies["truth_NC"][:, 0]
    assert errors_above_zero(studies["search_NC"][:, 0] - truth_N) > 10
    assert abs(errors_above_zero(studies["means_NC"][:, 0] - truth_N)) < 3


def test_a_winner_s_own_mean_is_too_high_too(studies):
    """Less so than its score in the search, but enough to need a corrected interval."""
    rows, winner_N = np.arange(NUM_STUDIES), studies["winner_N"]
    truth_N = studies["truth_NC"][rows, winner_N]
    inflation_N = studies["means_NC"][rows, winner_N] - truth_N
    assert errors_above_zero(inflation_N) > 5
    assert inflation_N.mean() < 0.5 * (studies["search_NC"][rows, winner_N] - truth_N).mean()


def coverage(intervals_N2: np.ndarray, truth_N: np.ndarray) -> float:
    """The share of intervals that hold their truth."""
    return float(((intervals_N2[:, 0] <= truth_N) & (truth_N <= intervals_N2[:, 1])).mean())


def t_interval(scores_S: np.ndarray) -> tuple[float | None, float | None]:
    found = estimate(scores_S)
    return found.low, found.high


def test_the_interval_of_a_candidate_fixed_in_advance_covers_95_percent():
    """Of 20,000 t-intervals, within 94 and 96 (six standard errors to each side)."""
    scores_NS = np.random.default_rng(1).normal(0.3, 0.01, size=(20_000, NUM_SEEDS))
    intervals_N2 = np.array([t_interval(scores_S) for scores_S in scores_NS])
    assert 0.94 < coverage(intervals_N2, np.full(20_000, 0.3)) < 0.96


@pytest.mark.parametrize("shared", [0.0, 1.0])
@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0, 3.0])
def test_a_winner_s_interval_covers(spread, shared):
    """Of 5,000 winners at least 93 percent have their true mean in it.

    Candidates are alike or differ, and have noise of their own or also a share in how good a seed is.
    """
    intervals_N2, truth_N = winners(
        spread, shared, lambda scores_S: winner_interval(scores_S, NUM_CANDIDATES)
    )
    assert coverage(intervals_N2, truth_N) >= 0.93


def test_a_t_interval_does_not_cover_a_winner():
    """Blind to the choice among five equals it holds the true mean in nine of ten: the correction is needed."""
    assert coverage(*winners(0.0, 0.0, t_interval)) < 0.92


def winners(spread: float, shared: float, interval: Interval) -> tuple[np.ndarray, np.ndarray]:
    """Intervals of those of five candidates whose means are highest, and their true means."""
    rng, num = np.random.default_rng(2), 5_000
    truth_NC = spread * rng.normal(size=(num, NUM_CANDIDATES))
    seeds_N1S = shared * rng.normal(size=(num, 1, NUM_SEEDS))
    scores_NCS = truth_NC[..., None] + seeds_N1S + rng.normal(size=(num, NUM_CANDIDATES, NUM_SEEDS))
    chosen = np.arange(num), scores_NCS.mean(axis=2).argmax(axis=1)
    return np.array([interval(scores_S) for scores_S in scores_NCS[chosen]]), truth_NC[chosen]
