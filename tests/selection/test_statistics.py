from itertools import product
from math import inf, sqrt

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from blade_tune.selection.statistics import (
    Estimate,
    estimate,
    expected_best,
    holm,
    probability_best,
    winner_interval,
)

SCORES = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)
SAMPLES = st.lists(SCORES, min_size=2, max_size=9)
SEVERAL_P_VALUES = st.lists(SCORES, min_size=1, max_size=9)


# Means


@given(SAMPLES)
def test_an_estimate_is_mean_and_t_interval(scores):
    """Mean, sample deviation, and mean -+ t * deviation / sqrt(n)."""
    num = len(scores)
    mean = sum(scores) / num
    sd = sqrt(sum((score - mean) ** 2 for score in scores) / (num - 1))
    reach = stats.t.ppf(0.975, num - 1) * sd / sqrt(num)
    found = estimate(scores)
    assert (found.mean, found.sd, found.num) == (pytest.approx(mean), pytest.approx(sd), num)
    assert (found.low, found.high) == pytest.approx((mean - reach, mean + reach))
    assert found.error == pytest.approx(sd / sqrt(num))
    assert {
        type(value) for value in (found.mean, found.sd, found.low, found.high, found.error)
    } == {float}


def test_one_score_has_no_spread():
    """Its mean is itself; deviation and interval are unknown, and the error counts as 0."""
    assert estimate([0.25]) == Estimate(mean=0.25, sd=None, low=None, high=None, num=1)
    assert estimate([0.25]).error == 0


def test_equal_scores_have_an_interval_of_no_width():
    """A spread of 0 is known to be 0."""
    assert estimate([0.5, 0.5, 0.5]) == Estimate(mean=0.5, sd=0, low=0.5, high=0.5, num=3)


def test_no_scores_have_no_mean():
    """They are an error, not a NaN."""
    with pytest.raises(ValueError, match="needs a value, got none"):
        estimate([])


# Winners


@given(SAMPLES)
def test_a_winner_of_one_has_the_t_interval(scores):
    """Who was the only candidate was not chosen."""
    plain = estimate(scores)
    assert winner_interval(scores, 1) == pytest.approx((plain.low, plain.high))


@given(SAMPLES, st.integers(1, 50))
def test_a_winner_is_doubted_downwards_only(scores, num_candidates):
    """The more candidates, the lower the lower end; the upper end stays."""
    low, high = winner_interval(scores, num_candidates)
    lower, same = winner_interval(scores, num_candidates + 1)
    assert same == high
    assert lower < low or np.ptp(scores) == 0


def test_the_lower_end_is_bonferroni_s():
    """It is that of a t-interval at level 1 - a / k."""
    scores = [0.1, 0.4, 0.3, 0.2]
    assert winner_interval(scores, 5)[0] == pytest.approx(estimate(scores, level=0.99).low)


def test_a_winner_of_one_score_has_no_interval():
    """One seed shows no spread."""
    with pytest.raises(ValueError, match="needs two values, got 1"):
        winner_interval([0.5], 5)


# Who is best


@given(
    st.integers(2, 5).flatmap(
        lambda num: st.lists(st.lists(SCORES, min_size=num, max_size=num), min_size=1)
    )
)
def test_probabilities_of_being_best_sum_to_1(scores_CS):
    """Somebody is best, and none has less than no chance."""
    shares_C = probability_best(scores_CS, draws=50)
    assert shares_C.shape == (len(scores_CS),)
    assert shares_C.min() >= 0
    assert shares_C.sum() == pytest.approx(1)


@given(SAMPLES, SAMPLES)
def test_two_candidates_are_compared_by_student_s_t(first, second):
    """Of two, the first is best with probability P(T < paired t), T of S - 1 degrees of freedom."""
    num = min(len(first), len(second))
    differences_S = np.subtract(first[:num], second[:num])
    error = differences_S.std(ddof=1) / sqrt(num)
    assume(error > 1e-9)
    expected = stats.t.cdf(differences_S.mean() / error, num - 1)
    # 5.6 errors of draws
    assert probability_best([first[:num], second[:num]])[0] == pytest.approx(expected, abs=0.02)


def test_three_candidates_are_compared_by_the_multivariate_t():
    """The first is best with the probability that both of its differences are positive."""
    scores_CS = np.random.default_rng(0).normal([[0.3], [0.2], [0.0]], 0.3, size=(3, 4))
    residual_CS = (
        scores_CS
        - scores_CS.mean(axis=1, keepdims=True)
        - scores_CS.mean(axis=0)
        + scores_CS.mean()
    )
    scale = (residual_CS**2).sum() / 6 / 4  # of one mean; two differences from one share it
    first, second, third = scores_CS.mean(axis=1)
    law = stats.multivariate_t(shape=scale * np.array([[2, 1], [1, 2]]), df=6)
    expected = law.cdf([first - second, first - third], random_state=0)
    assert probability_best(scores_CS)[0] == pytest.approx(expected, abs=0.015)


def test_exchangeable_candidates_share_alike():
    """Whose scores are the same in another order of seeds have the same chance, up to that of draws."""
    assert probability_best([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]]) == pytest.approx(
        [1 / 2] * 2, abs=0.015
    )
    assert probability_best([[1, 2, 3], [2, 3, 1], [3, 1, 2]]) == pytest.approx(
        [1 / 3] * 3, abs=0.015
    )


def test_a_clear_winner_is_nearly_certain():
    """Ten deviations ahead, on five seeds, leaves no doubt worth a thousandth."""
    scores_CS = np.random.default_rng(0).normal([[0.0], [1.0], [0.0]], 0.1, size=(3, 5))
    assert probability_best(scores_CS)[1] > 0.999


def test_what_all_candidates_share_of_a_seed_decides_nothing():
    """A seed that is good for all adds to no candidate's chance and to nobody's noise."""
    scores_CS = np.random.default_rng(0).normal([[0.0], [0.1]], 0.1, size=(2, 5))
    lucky_CS = scores_CS + np.array([3, 0, -2, 0, 1])
    assert probability_best(lucky_CS) == pytest.approx(probability_best(scores_CS), abs=1e-3)


def test_without_noise_the_highest_is_best():
    """Those who tie for it share."""
    assert probability_best([[1, 2], [2, 3], [0, 1]]).tolist() == [0, 1, 0]
    assert probability_best([[2, 3], [2, 3], [0, 1], [0, 1]]).tolist() == [0.5, 0.5, 0, 0]


def test_a_single_candidate_is_best():
    """Whatever its scores, one seed or several."""
    assert probability_best([[0.5]]).tolist() == [1]
    assert probability_best([[0.5, 0.1]]).tolist() == [1]


def test_one_seed_does_not_tell_who_is_best():
    """It shows no noise, so a difference may be anything."""
    with pytest.raises(ValueError, match="needs two seeds"):
        probability_best([[0.5], [0.6]])


def test_draws_repeat():
    """The same seed gives the same probabilities, another seed others."""
    scores_CS = [[0.1, 0.2, 0.3], [0.2, 0.2, 0.2]]
    assert np.array_equal(probability_best(scores_CS, seed=1), probability_best(scores_CS, seed=1))
    assert not np.array_equal(
        probability_best(scores_CS, seed=1), probability_best(scores_CS, seed=2)
    )


# Several p-values


def holm_twin(p_values: list[float]) -> list[float]:
    """The i-th smallest of m times m - i + 1, at most 1, and no less than that of a smaller one."""
    adjusted, largest = [0.0] * len(p_values), -inf
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - place)))
        adjusted[index] = largest
    return adjusted


def test_holm_by_hand():
    """0.01 * 4, 0.02 * 3 and 0.03 * 2 give 0.04, 0.06 and 0.06; 0.5 * 1 stays."""
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])


@settings(max_examples=25)  # statsmodels collects garbage at each call
@given(SEVERAL_P_VALUES)
def test_holm_keeps_the_order_and_lowers_nothing(p_values):
    """Adjusted p-values lie between the raw ones and 1, in the same order."""
    adjusted = holm(p_values)
    assert adjusted == pytest.approx(holm_twin(p_values))
    assert all(raw - 1e-12 <= new <= 1 for raw, new in zip(p_values, adjusted, strict=True))
    in_order = [new for _, new in sorted(zip(p_values, adjusted, strict=True))]
    assert in_order == sorted(in_order)


def test_no_p_values_need_no_adjustment():
    """Of none there are none."""
    assert holm([]) == []


# The best of n


@given(st.lists(SCORES, min_size=1, max_size=5), st.integers(1, 4))
def test_the_expected_best_is_the_mean_over_all_draws(scores, count):
    """Every n-tuple of the values is as likely as any other."""
    best = [max(draw) for draw in product(scores, repeat=count)]
    assert expected_best(scores, [count]) == pytest.approx([sum(best) / len(best)])


@given(SAMPLES)
def test_the_expected_best_climbs_from_the_mean_to_the_maximum(scores):
    """One trial gives the mean, more never less, very many the maximum."""
    curve = expected_best(scores, [1, 2, 3, 10_000])
    assert np.diff(curve).min() > -1e-12
    assert (curve[0], curve[-1]) == pytest.approx((np.mean(scores), max(scores)))
