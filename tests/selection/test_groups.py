"""Groups of users, and whether the difference between two models depends on the group."""

import random
from itertools import pairwise
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from blade_tune.data.statistics import tail_shares, tail_users
from blade_tune.data.store import prepare
from blade_tune.selection.groups import (
    FEWEST_USERS,
    are_quantiles,
    groups_of,
    interaction,
    interactions,
)
from blade_tune.selection.statistics import paired_bootstrap
from tests.data.examples import QK_VIDEO, config, qk_video
from tests.selection.test_paired_comparison import drawn_gains

NUM_SEEDS, NUM_USERS, NUM_REPEATS = 5, 300, 1_000


# --- groups ---


@given(st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]), min_size=1, max_size=200))
def test_groups_are_a_partition_in_order_of_shares(shares):
    """Every user is in one group, a group's shares are below the next one's, and equal shares stay together."""
    shares_U = np.array(shares)
    groups = groups_of(shares_U > 0.8, shares_U)
    assert (np.sum(list(groups.values()), axis=0) == 1).all()
    several = [shares_U[mask_U] for mask_U in groups.values() if mask_U.any()]
    assert all(low.max() < high.min() for low, high in pairwise(several))


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=300))
def test_quantiles_stand_in_for_groups_that_are_too_small(shares):
    """The paper's rule is kept where it leaves 30 users on each side, or where no quantiles do."""
    shares_U = np.array(shares)
    is_tail_U = shares_U > 0.8
    groups = groups_of(is_tail_U, shares_U)
    sizes = [int(mask_U.sum()) for mask_U in groups.values()]
    if min(is_tail_U.sum(), (~is_tail_U).sum()) >= FEWEST_USERS:
        assert list(groups) == ["head", "tail"]
    if are_quantiles(groups):
        assert min(sizes) >= FEWEST_USERS
        assert len(sizes) in (2, 3)
    else:
        assert np.array_equal(groups["tail"], is_tail_U)


def test_qk_video_has_thirds_where_the_rule_leaves_one_user(tmp_path: Path):
    """One user has more than 80% of long-tail behaviors; thirds of the share are groups of a thousand."""
    qk = prepare(config(QK_VIDEO), qk_video(), tmp_path)
    users_U = np.unique(qk.valid.users_N)
    is_tail_U, shares_U = tail_users(qk)[users_U], tail_shares(qk)[users_U]
    groups = groups_of(is_tail_U, shares_U)
    assert is_tail_U.sum() == 1
    sizes = {name: int(mask_U.sum()) for name, mask_U in groups.items()}
    assert sizes == {"low tail": 2224, "middle tail": 1059, "high tail": 1584}
    assert not shares_U[groups["low tail"]].any()


# --- the interaction ---


def two_groups(num_users: int = NUM_USERS) -> tuple[np.ndarray, np.ndarray]:
    """A group of a third of the users and one of half of them."""
    places_U = np.arange(num_users)
    return places_U < num_users // 3, places_U >= num_users // 2


def gains_pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A model and a better one that gains on it everywhere alike; users of one group are easier for both."""
    group_U, _ = two_groups()
    easier_U = np.where(group_U, 1.5, 1.0)
    first_SU, second_SU = drawn_gains(rng, 0.3), drawn_gains(rng, 0.3)
    return (first_SU * easier_U + 0.02), second_SU * easier_U


def slow_interaction(first, second, group, other, draws):
    """The same in plain Python: users drawn one by one within their group, seeds by Student's t."""
    rng = random.Random(5)  # noqa: S311 - a twin
    num_seeds = len(first)

    def mean_of(users, seed):
        return sum(first[seed][u] - second[seed][u] for u in users) / len(users)

    def users_error(users):
        """The spread of the group's mean over other users, without that of single seeds and users."""
        means = [
            sum(first[s][u] - second[s][u] for s in range(num_seeds)) / num_seeds for u in users
        ]
        center = sum(means) / len(means)
        runs = [mean_of(users, s) for s in range(num_seeds)]
        residual = 0.0
        for s in range(num_seeds):
            for place, u in enumerate(users):
                gain = first[s][u] - second[s][u]
                residual += (gain - runs[s] - means[place] + center) ** 2
        residual /= (num_seeds - 1) * (len(users) - 1)
        variance = sum((mean - center) ** 2 for mean in means) / (len(means) - 1)
        share = residual / (num_seeds * variance)
        narrowing = sqrt(max(0.0, 1.0 - share))
        drawn = []
        for _ in range(draws):
            sample = [means[rng.randrange(len(means))] for _ in means]
            drawn.append(narrowing * (sum(sample) / len(sample) - center))
        return drawn

    contrasts = [mean_of(group, s) - mean_of(other, s) for s in range(num_seeds)]
    difference = sum(contrasts) / num_seeds
    variance = sum((contrast - difference) ** 2 for contrast in contrasts) / (num_seeds - 1)
    t_draws = stats.t.rvs(num_seeds - 1, size=draws, random_state=5)
    chance = [
        a - b + sqrt(variance / num_seeds) * t
        for a, b, t in zip(users_error(group), users_error(other), t_draws, strict=True)
    ]
    p_value = sum(abs(error) >= abs(difference) for error in chance) / draws
    chance.sort()
    return difference, difference + chance[draws // 40], difference + chance[-draws // 40], p_value


def test_the_interaction_is_that_of_its_slow_twin():
    """The difference is exact; interval and p-value agree within what 4,000 draws leave open."""
    rng = np.random.default_rng(3)
    first_SU, second_SU = (rng.gamma(0.3, 0.3, size=(4, 60)) for _ in range(2))
    group_U, other_U = two_groups(60)
    first_SU[:, group_U] += 0.08
    found = interaction(first_SU, second_SU, group_U, other_U)
    difference, low, high, p_value = slow_interaction(
        first_SU.tolist(),
        second_SU.tolist(),
        np.flatnonzero(group_U).tolist(),
        np.flatnonzero(other_U).tolist(),
        4_000,
    )
    assert found.difference == pytest.approx(difference)
    width = high - low
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.08 * width)
    assert found.p_value == pytest.approx(p_value, abs=0.03)


def test_a_difference_that_is_the_same_in_both_groups_is_found_as_often_as_said():
    """Easier users and luckier seeds are no interaction: 5 percent, within 3 and 7 (standard error 0.7)."""
    rng = np.random.default_rng(4)
    groups = two_groups()
    p_values = [
        interaction(*gains_pair(rng), *groups, resamples=499, seed=place).p_value
        for place in range(NUM_REPEATS)
    ]
    assert 0.03 <= np.mean(np.array(p_values) <= 0.05) <= 0.07


def test_a_gain_in_one_group_alone_is_found():
    """A gain of four standard errors in one group is found at least eight times in ten, in its direction."""
    rng = np.random.default_rng(5)
    groups = two_groups()
    found = []
    for place in range(100):
        first_SU, second_SU = gains_pair(rng)
        first_SU[:, groups[0]] += 0.08
        found.append(interaction(first_SU, second_SU, *groups, resamples=499, seed=place))
    assert np.mean([one.p_value <= 0.05 for one in found]) >= 0.8
    assert all(one.difference > 0.0 for one in found if one.p_value <= 0.05)


def test_what_seeds_do_to_both_groups_alike_cancels():
    """Seeds that lift every user alike leave the interval of the interaction as it is, and widen the difference's."""
    rng = np.random.default_rng(6)
    first_SU, second_SU = drawn_gains(rng), drawn_gains(rng)
    lucky_SU = first_SU + np.array([[0.0], [0.2], [0.4], [0.6], [0.8]])
    groups = two_groups()
    plain = interaction(first_SU, second_SU, *groups)
    lucky = interaction(lucky_SU, second_SU, *groups)
    assert (lucky.low, lucky.high) == pytest.approx((plain.low, plain.high))
    wide, narrow = (paired_bootstrap(one, second_SU) for one in (lucky_SU, first_SU))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_models_that_swap_places_swap_the_sign():
    """The interaction of the second model with the groups is the mirror image, to the last bit but for rounding."""
    rng = np.random.default_rng(7)
    first_SU, second_SU = gains_pair(rng)
    one = interaction(first_SU, second_SU, *two_groups())
    other = interaction(second_SU, first_SU, *two_groups())
    assert (other.difference, other.low, other.high) == pytest.approx(
        (-one.difference, -one.high, -one.low)
    )
    assert other.p_value == one.p_value


def test_interactions_are_corrected_over_their_table():
    """Each has its own comparison, of the last group with the first; groups that are too small have none."""
    rng = np.random.default_rng(8)
    low_U, high_U = two_groups()
    groups = {"low tail": low_U, "middle tail": ~(low_U | high_U), "high tail": high_U}
    pairs = [(name, *gains_pair(rng)) for name in ("one", "two")]
    found = interactions(pairs, groups)
    assert [each.label for each in found] == ["one", "two"]
    for each, (_, first_SU, second_SU) in zip(found, pairs, strict=True):
        assert each.comparison == interaction(first_SU, second_SU, high_U, low_U)
        assert each.p_adjusted >= each.comparison.p_value
    nobody_U = np.zeros(NUM_USERS, bool)
    assert interactions(pairs, {"head": ~nobody_U, "tail": nobody_U}) == ()
    assert interactions(pairs, {}) == ()
