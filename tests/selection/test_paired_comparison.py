"""Two models on the same seeds and users: the size, the direction and the power of their tests."""

from math import log2, sqrt

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from blade_tune.selection.statistics import Comparison, paired_bootstrap, paired_t

NUM_SEEDS, NUM_USERS, NUM_REPEATS = 5, 300, 1_500
GAINS_OF_RANKS = np.array([1 / log2(rank + 2) for rank in range(10)])


def drawn_gains(
    rng: np.random.Generator, seed_effect: float = 0.0, strength: float = 1.0
) -> np.ndarray:
    """NDCG@10 of each seed and user: mostly 0, some users easier than others, some seeds luckier.

    About one user in eleven is hit; what is easy differs from model to model.
    """
    easiness_U = strength * rng.beta(0.4, 4.0, size=NUM_USERS)
    luck_S1 = np.exp(seed_effect * rng.standard_normal((NUM_SEEDS, 1)))
    is_hit_SU = rng.random((NUM_SEEDS, NUM_USERS)) < luck_S1 * easiness_U
    return np.where(is_hit_SU, rng.choice(GAINS_OF_RANKS, size=is_hit_SU.shape), 0.0)


def swapped_gains(rng: np.random.Generator, first_SU: np.ndarray, second_SU: np.ndarray, axes: str):
    """Both models' gains with their labels exchanged at random along the given axes, S or U or both."""
    shape = [size if axis in axes else 1 for axis, size in zip("SU", first_SU.shape, strict=True)]
    swap_SU = rng.random(shape) < 0.5
    return np.where(swap_SU, second_SU, first_SU), np.where(swap_SU, first_SU, second_SU)


def size_of(pairs) -> float:
    """The share of pairs of equal models that are found different at 5 percent."""
    p_values = [
        paired_bootstrap(*pair, resamples=499, seed=place).p_value
        for place, pair in enumerate(pairs)
    ]
    return float(np.mean(np.array(p_values) <= 0.05))


# Size: of 1,500 repeats a share of 0.05 has a standard error of 0.0056


def test_labels_swapped_by_user_are_found_different_as_often_as_said():
    """A better model and a worse one, their labels exchanged at random for every user: 5 percent, within 3 and 7."""
    rng = np.random.default_rng(0)
    pairs = (
        swapped_gains(rng, drawn_gains(rng), drawn_gains(rng, strength=1.5), "U")
        for _ in range(NUM_REPEATS)
    )
    assert 0.03 <= size_of(pairs) <= 0.07


@pytest.mark.parametrize("axes", ["S", "SU"])
def test_labels_swapped_by_run_are_found_different_at_most_as_often(axes):
    """Exchanged for every run, or every user of every run, they count as different in no more than 7 percent.

    By run it may come to 6.25 where models differ: that often all five runs fall on one side.
    """
    rng = np.random.default_rng(1)
    pairs = (
        swapped_gains(rng, drawn_gains(rng), drawn_gains(rng, strength=1.5), axes)
        for _ in range(NUM_REPEATS)
    )
    assert size_of(pairs) <= 0.07


@pytest.mark.parametrize("seed_effect", [0.0, 0.3, 1.0])
def test_lucky_seeds_are_not_taken_for_a_difference(seed_effect):
    """Models of one law count as different in no more than 7 percent, however much seeds matter beside users."""
    rng = np.random.default_rng(2)
    pairs = (
        (drawn_gains(rng, seed_effect), drawn_gains(rng, seed_effect)) for _ in range(NUM_REPEATS)
    )
    assert size_of(pairs) <= 0.07


# Power and direction


def better_and_worse(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A model that hits twice as many users as another."""
    rng = np.random.default_rng(seed)
    return drawn_gains(rng, seed_effect=0.1, strength=2.0), drawn_gains(rng, seed_effect=0.1)


def run_means(gains_SU: np.ndarray) -> list[float]:
    return gains_SU.mean(axis=1).tolist()


def test_a_clear_difference_is_found():
    """Of 200 models that hit twice as many users as another, the bootstrap finds 180, on the right side."""
    found = [paired_bootstrap(*better_and_worse(seed), resamples=499) for seed in range(200)]
    assert sum(comparison.p_value <= 0.05 and comparison.low > 0 for comparison in found) >= 180


def test_the_better_model_of_two_is_named():
    """First better: a positive difference, interval above 0, small p. Swapped: the mirror image, the same p."""
    better_SU, worse_SU = better_and_worse(0)
    for forth, back in (
        (paired_bootstrap(better_SU, worse_SU), paired_bootstrap(worse_SU, better_SU)),
        (
            paired_t(run_means(better_SU), run_means(worse_SU)),
            paired_t(run_means(worse_SU), run_means(better_SU)),
        ),
    ):
        assert 0 < forth.low < forth.difference < forth.high
        assert forth.difference == pytest.approx((better_SU - worse_SU).mean())
        assert forth.p_value < 0.01
        assert mirrored(back) == pytest.approx(values_of(forth))


def values_of(comparison: Comparison) -> tuple[float, ...]:
    return comparison.difference, comparison.low, comparison.high, comparison.p_value


def mirrored(comparison: Comparison) -> tuple[float, ...]:
    return -comparison.difference, -comparison.high, -comparison.low, comparison.p_value


@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_the_bootstrap_has_no_preferred_side(num_seeds, num_users, seed):
    """Models of any gains, one seed or one user among them, that swap places mirror the result, draw for draw."""
    first_SU, second_SU = (
        np.random.default_rng(seed).integers(0, 6, size=(2, num_seeds, num_users)) / 10
    )
    forth = paired_bootstrap(first_SU, second_SU, resamples=99)
    back = paired_bootstrap(second_SU, first_SU, resamples=99)
    assert 0 < forth.p_value <= 1
    assert forth.low <= forth.high
    assume(abs(forth.difference) > 1e-9)
    assert mirrored(back) == pytest.approx(values_of(forth))


# What the bootstrap is where only one kind of chance is at work


def test_without_users_of_their_own_it_is_the_t_test():
    """Where users differ by nothing but noise, or not at all, it is the t-test over seeds."""
    rng = np.random.default_rng(3)
    seeds_S1 = rng.normal(0.1, 0.1, size=(NUM_SEEDS, 1))
    for noise in (0.0, 0.3):
        gains_SU = seeds_S1 + noise * rng.standard_normal((NUM_SEEDS, NUM_USERS))
        by_seed = paired_t(run_means(gains_SU), [0.0] * NUM_SEEDS)
        found = paired_bootstrap(gains_SU, np.zeros_like(gains_SU))
        assert values_of(found) == pytest.approx(values_of(by_seed), abs=0.03)
        assert found.p_value == pytest.approx(by_seed.p_value, abs=0.015)


@pytest.mark.parametrize("num_seeds", [1, 5])
def test_without_chance_among_seeds_it_is_the_test_over_users(num_seeds):
    """One seed, or equal ones, leave what other users would change: with many users, a normal law."""
    gains_U = np.random.default_rng(4).exponential(size=NUM_USERS) - 0.9
    error = gains_U.std() / sqrt(NUM_USERS)
    found = paired_bootstrap(np.tile(gains_U, (num_seeds, 1)), np.zeros((num_seeds, NUM_USERS)))
    expected = 2 * stats.norm.sf(abs(gains_U.mean()) / error)
    assert found.p_value == pytest.approx(expected, abs=0.015)
    reach = stats.norm.ppf(0.975) * error
    assert (found.low, found.high) == pytest.approx(
        (gains_U.mean() - reach, gains_U.mean() + reach), abs=0.1 * error
    )


def test_users_and_seeds_add():
    """With both at work its variance is MS_users + MS_seeds - MS_own, over S * U (two-way analysis of variance)."""
    rng = np.random.default_rng(5)
    S, U = 8, 50
    gains_SU = rng.normal(size=(S, 1)) / 10 + rng.normal(size=U) / 2 + rng.normal(size=(S, U))
    mean, by_seed, by_user = gains_SU.mean(), gains_SU.mean(axis=1), gains_SU.mean(axis=0)
    square_of_users = S * sum((user - mean) ** 2 for user in by_user) / (U - 1)
    square_of_seeds = U * sum((seed - mean) ** 2 for seed in by_seed) / (S - 1)
    own = [
        (gains_SU[s, u] - by_seed[s] - by_user[u] + mean) ** 2 for s in range(S) for u in range(U)
    ]
    square_of_own = sum(own) / ((S - 1) * (U - 1))
    normal_N, t_N = rng.standard_normal(400_000), rng.standard_t(S - 1, size=400_000)
    chance_N = (
        sqrt((square_of_users - square_of_own) / (S * U)) * normal_N
        + sqrt(square_of_seeds / (S * U)) * t_N
    )
    found = paired_bootstrap(gains_SU, np.zeros_like(gains_SU), resamples=50_000)
    assert found.p_value == pytest.approx(np.mean(abs(chance_N) >= abs(mean)), abs=0.01)
    expected = mean + np.quantile(chance_N, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx(
        expected, abs=0.05 * (expected[1] - expected[0])
    )


# Edges


def test_a_model_equals_itself():
    """No difference, no doubt of it, p = 1."""
    gains_SU = drawn_gains(np.random.default_rng(6))
    assert paired_bootstrap(gains_SU, gains_SU) == Comparison(0, 0, 0, 1)
    assert paired_t([0.1, 0.2], [0.1, 0.2]) == Comparison(0, 0, 0, 1)


def test_a_difference_that_is_always_the_same_is_certain():
    """No chance is seen: p is as small as it gets, 0 for the t-test and one in all draws for the bootstrap."""
    gains_SU = np.zeros((3, 4))
    assert paired_bootstrap(gains_SU + 0.5, gains_SU, resamples=99) == Comparison(
        0.5, 0.5, 0.5, 0.01
    )
    found = paired_t([0.1, 0.2, 0.3], [0.2, 0.3, 0.4])
    assert values_of(found) == pytest.approx((-0.1, -0.1, -0.1, 0))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=6))
def test_the_t_test_is_student_s(pairs):
    """Mean difference -+ t * error, and p = 2 P(T > |mean| / error) with S - 1 degrees of freedom."""
    first_S, second_S = np.array(pairs).T / 10
    gains_S = first_S - second_S
    error = gains_S.std(ddof=1) / sqrt(len(gains_S))
    assume(error > 1e-9)
    reach = stats.t.ppf(0.95, len(gains_S) - 1) * error
    p_value = 2 * stats.t.sf(abs(gains_S.mean()) / error, len(gains_S) - 1)
    expected = (gains_S.mean(), gains_S.mean() - reach, gains_S.mean() + reach, p_value)
    assert values_of(paired_t(first_S, second_S, level=0.9)) == pytest.approx(expected)


def test_one_seed_allows_no_t_test():
    """It shows no spread."""
    with pytest.raises(ValueError, match="needs two seeds, got 1"):
        paired_t([0.1], [0.2])


@pytest.mark.parametrize("compare", [paired_bootstrap, paired_t])
def test_models_of_other_seeds_are_no_pairs(compare):
    """One seed against several is an error, not repeated for each."""
    rows_SU = np.zeros((5, 4)) if compare is paired_bootstrap else np.zeros(5)
    with pytest.raises(ValueError, match="must have one shape"):
        compare(rows_SU, rows_SU[:1])


def test_draws_repeat():
    """The same seed gives the same comparison, another seed another."""
    pair = better_and_worse(7)
    assert paired_bootstrap(*pair, seed=1) == paired_bootstrap(*pair, seed=1)
    assert paired_bootstrap(*pair, seed=1) != paired_bootstrap(*pair, seed=2)


def test_comparisons_are_plain_numbers():
    """They are written to JSON as they are."""
    pair = better_and_worse(8)
    for found in (
        paired_bootstrap(*pair, resamples=99),
        paired_t(run_means(pair[0]), run_means(pair[1])),
    ):
        assert {type(value) for value in values_of(found)} == {float}
