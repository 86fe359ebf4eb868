"""Power: what is promised before a comparison is what the test then does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from blade_tune.selection.power import (
    ENOUGH,
    PairNoise,
    Plan,
    power,
    seeds_needed,
    smallest_difference,
)
from blade_tune.selection.published_tables import published_differences
from blade_tune.selection.statistics import paired_bootstrap

NOISE = PairNoise(users=0.02, seeds=2e-5, rests=0.004)
# Of two models on QK-Video, as an audit measured it: errors of .0012 over 4,850 users, .0011 a run
QK_VIDEO = PairNoise(0.0012**2 * 4850, 1.4 * 0.0011**2, 0.6 * 0.0011**2 * 4850)


def draw(noise: PairNoise, plan: Plan, rng: np.random.Generator) -> np.ndarray:
    """Differences at each seed and user that are equal on average."""
    seeds_S1 = np.sqrt(noise.seeds) * rng.standard_normal((plan.seeds, 1))
    users_U = np.sqrt(noise.users) * rng.standard_normal(plan.users)
    return seeds_S1 + users_U + np.sqrt(noise.rests) * rng.standard_normal((plan.seeds, plan.users))


def simulated(difference: float, noise: PairNoise, plan: Plan, num: int = 500) -> float:
    """How often the paired bootstrap finds a difference, at the level of Holm's first step."""
    rng = np.random.default_rng(plan.seeds)
    found = []
    for _ in range(num):
        gains_SU = difference + draw(noise, plan, rng)
        tested = paired_bootstrap(gains_SU, np.zeros_like(gains_SU), resamples=1_999)
        found.append(tested.p_value * plan.pairs < 0.05)
    return float(np.mean(found))


@pytest.mark.parametrize(
    "plan", [Plan(100, 2, 1), Plan(100, 3, 8), Plan(100, 5, 1), Plan(100, 10, 8)]
)
def test_the_promised_chance_is_the_simulated_one(plan):
    """Where it should be found with a chance of 80% it is, within 5 points (of 500, one error is 1.8)."""
    difference = smallest_difference(NOISE, plan)
    assert simulated(difference, NOISE, plan) == pytest.approx(ENOUGH, abs=0.05)


def test_it_is_what_an_audit_simulated():
    """36 pairs find .004 in 16% at 5 seeds and 50% at 20; eight contrasts in 40% at 5 (4,850 users)."""
    shares = [power(0.004, QK_VIDEO, Plan(4850, *size)) for size in ((5, 36), (20, 36), (5, 8))]
    assert shares == pytest.approx([0.16, 0.50, 0.40], abs=0.05)


def test_one_seed_is_the_test_over_users():
    """Without noise of seeds the chance is that of a normal law."""
    plan, noise = Plan(400, 1, 1), PairNoise(0.04, 0.0, 0.0)
    error = np.sqrt(0.04 / 400)
    for size in (0.0, 1.0, 2.5):
        expected = stats.norm.sf(1.96 - size) + stats.norm.cdf(-1.96 - size)
        assert power(size * error, noise, plan) == pytest.approx(expected, abs=1e-3)


@given(st.integers(2, 12), st.integers(1, 40), st.floats(0.0005, 0.05))
def test_more_of_anything_finds_more(seeds, pairs, difference):
    """More seeds, more users, fewer pairs, or a larger difference."""
    plan = Plan(200, seeds, pairs)
    chance = power(difference, NOISE, plan)
    assert 0 <= chance <= 1
    slack = (
        5e-3  # the test is conservative where users and seeds both vary, less so with more users
    )
    assert power(2 * difference, NOISE, plan) >= chance - slack
    assert power(difference, NOISE, Plan(400, seeds, pairs)) >= chance - slack
    assert power(difference, NOISE, Plan(200, seeds, 2 * pairs)) <= chance + slack
    assert power(-difference, NOISE, plan) == pytest.approx(chance)


def test_seeds_needed_are_the_fewest():
    """With them the chance is enough, with one less it is not; what users alone hide no seeds bring out."""
    plan = Plan(4850, 5, 1)
    needed = seeds_needed(0.004, QK_VIDEO, plan)
    assert needed is not None
    assert power(0.004, QK_VIDEO, Plan(4850, needed, 1)) >= ENOUGH
    assert power(0.004, QK_VIDEO, Plan(4850, needed - 1, 1)) < ENOUGH
    assert seeds_needed(0.001, QK_VIDEO, plan) is None


def test_noise_is_taken_apart():
    """Of a large table each part comes back; with one seed all of it is the users'."""
    noise = PairNoise(users=0.3, seeds=0.02, rests=0.5)
    differences_SU = draw(noise, Plan(4_000, 400, 1), np.random.default_rng(0))
    found = PairNoise.of(differences_SU)
    assert (found.users, found.seeds, found.rests) == pytest.approx((0.3, 0.02, 0.5), rel=0.15)
    assert PairNoise.of(differences_SU[:1]) == PairNoise(
        pytest.approx(differences_SU[0].var(ddof=1)), 0.0, 0.0
    )


def test_without_noise_any_difference_is_found():
    """And none is small enough to be missed."""
    none = PairNoise(0.0, 0.0, 0.0)
    assert power(1e-9, none, Plan(10, 3, 5)) == 1.0
    assert smallest_difference(none, Plan(10, 3, 5)) == 0.0


def test_published_differences_are_those_of_one_table():
    """BLADE is .0010 below EIDP on QK-Video in its own Table 1; data that no paper has have none."""
    found = published_differences("qk-video", "ndcg@10", ["blade", "eidp", "item_knn"])
    table = [each for each in found if "Table 1" in each.source]
    assert [(each.first, each.second) for each in table] == [("blade", "eidp")]
    assert table[0].difference == pytest.approx(-0.0010)
    assert published_differences("demo", "ndcg@10", ["blade", "eidp"]) == []
    assert published_differences("qk-video", "ndcg@20", ["blade", "eidp"]) == []
