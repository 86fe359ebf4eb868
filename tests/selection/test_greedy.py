"""Greedy ensembles of made-up scores: equal to a slow twin, honest out of bag, taken where models are good together."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from blade_tune.metrics import gains_by_rank
from blade_tune.selection.contested import Contested, ScoredUsers
from blade_tune.selection.greedy import Counts, Sums, greedy, out_of_bag_ensemble

METRIC, CUTOFF = "ndcg@5", 5


def random_block(
    seed: int, num_models: int = 4, num_users: int = 30, num_items: int = 25
) -> ScoredUsers:
    """Scores of few different whole numbers, so that many are equal; some items are excluded."""
    rng = np.random.default_rng(seed)
    scores_CBV = rng.integers(-3, 4, (num_models, num_users, num_items)).astype(np.float32)
    targets_B = rng.integers(1, num_items + 1, num_users)
    scores_CBV[:, np.arange(num_users), targets_B - 1] += 2
    return ScoredUsers(scores_CBV, targets_B, rng.integers(0, num_items + 1, (num_users, 3)))


def sums_of(*blocks: ScoredUsers) -> Sums:
    return Sums(Contested.of(blocks, CUTOFF), METRIC)


# --- a slow twin ---


def twin_rank(block: ScoredUsers, user: int, counts: Sequence[int]) -> int:
    """The rank of a user's item in the sum, from 0; the cutoff for all ranks from it on."""
    excluded, target = set(block.excluded_BX[user]), block.targets_B[user]
    if target in excluded:
        return CUTOFF
    total = {
        item: sum(
            int(n) * float(s[user, item - 1]) for n, s in zip(counts, block.scores_CBV, strict=True)
        )
        for item in range(1, block.scores_CBV.shape[2] + 1)
    }
    before = [
        item
        for item in total
        if item not in excluded and (-total[item], item) < (-total[target], target)
    ]
    return min(len(before), CUTOFF)


def twin_total(block: ScoredUsers, counts: Sequence[int], weights: Sequence[int]) -> Fraction:
    """The exact sum of gains."""
    gain = [*map(Fraction, gains_by_rank(METRIC)), Fraction(0)]
    return sum(
        (weight * gain[twin_rank(block, user, counts)] for user, weight in enumerate(weights)),
        Fraction(0),
    )


def twin_greedy(block: ScoredUsers, weights: Sequence[int], draws: int, most_models: int) -> Counts:
    """Draw after draw, whatever is best; the shortest beginning that nothing later exceeds."""
    now = [0] * len(block.scores_CBV)
    path = []
    for _ in range(draws):
        best = None
        for model in range(len(now)):
            if not now[model] and sum(map(bool, now)) >= most_models:
                continue
            drawn = [count + (place == model) for place, count in enumerate(now)]
            total = twin_total(block, drawn, weights)
            if best is None or total > best[0]:
                best = total, drawn
        assert best is not None
        now = best[1]
        path.append((best[0], tuple(now)))
    highest = max(total for total, _ in path)
    return next(counts for total, counts in path if total == highest)


@pytest.mark.parametrize("seed", range(4))
def test_ranks_equal_the_twins(seed: int):
    """Of all sums, with ties, excluded items, users in several blocks, and users whose item cannot be found."""
    block, more = random_block(seed), random_block(seed + 100, num_users=7)
    sums = sums_of(block, more)
    rng = np.random.default_rng(seed)
    for counts in [(1, 0, 0, 0), (0, 0, 2, 1), *map(tuple, rng.integers(1, 5, (5, 4)).tolist())]:
        found = np.full(37, CUTOFF)
        found[sums.contested.users_X] = sums.ranks(counts)
        expected = [
            twin_rank(each, user, counts)
            for each in (block, more)
            for user in range(len(each.targets_B))
        ]
        assert found.tolist() == expected


@pytest.mark.parametrize("seed", range(4))
def test_items_that_others_exceed_everywhere_change_nothing(seed: int):
    """Models that mostly agree have many such items: few are kept, and ranks are the twin's."""
    rng = np.random.default_rng(seed)
    block = random_block(seed, num_users=6, num_items=300)
    shared_BV = rng.integers(-30, 30, (6, 300))
    block = replace(block, scores_CBV=block.scores_CBV + shared_BV.astype(np.float32))
    block.scores_CBV[:, np.arange(6), block.targets_B - 1] = [[9], [0], [20], [0]]
    sums = sums_of(block)
    assert len(sums.contested.owners_N) < 6 * 150
    for counts in [(1, 0, 2, 0), (0, 1, 0, 0), (1, 1, 1, 1), (1, 0, 3, 2)]:
        found = np.full(6, CUTOFF)
        found[sums.contested.users_X] = sums.ranks(counts)
        assert found.tolist() == [twin_rank(block, user, counts) for user in range(6)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("most_models", [1, 2, 4])
def test_greedy_equals_its_twin(seed: int, most_models: int):
    """With replacement, of equal models the first, the shortest of equal beginnings, and for many weights at once."""
    block = random_block(seed, num_users=15)
    weights_RU = np.random.default_rng(seed).integers(0, 3, (3, 15))
    weights_RU[0] = 1
    sums = sums_of(block)
    found = greedy(sums, weights_RU[:, sums.contested.users_X].astype(float), 5, most_models)
    assert found == [twin_greedy(block, row.tolist(), 5, most_models) for row in weights_RU]


# --- laws of the choice ---


def test_one_candidate_is_its_own_ensemble():
    """It is drawn once, and differs from itself by nothing."""
    sums = sums_of(random_block(0, num_models=1))
    assert greedy(sums, np.ones((1, len(sums.contested.users_X))), 6, 5) == [(1,)]
    found = out_of_bag_ensemble(sums, 6, 5, resamples=20)
    assert (found.comparison.difference, found.comparison.low, found.comparison.high) == (0, 0, 0)
    assert found.ensemble == found.single > 0


def test_equal_copies_are_no_ensemble():
    """The first is drawn once, in every resample, and nothing is gained."""
    block = random_block(1)
    copies = replace(block, scores_CBV=block.scores_CBV[[2, 2, 2]])
    sums = sums_of(copies)
    assert greedy(sums, np.ones((1, len(sums.contested.users_X))), 6, 5) == [(1, 0, 0)]
    found = out_of_bag_ensemble(sums, 6, 5, resamples=20)
    assert (found.comparison.difference, found.comparison.low, found.comparison.high) == (0, 0, 0)


def test_users_out_of_bag_have_no_part_in_the_choice():
    """Other targets for users who do not count change nothing of what is drawn."""
    block = random_block(2)
    weights_U = np.array([2.0] * 12 + [0.0] * 18)
    changed = replace(
        block, targets_B=np.concatenate([block.targets_B[:12], block.targets_B[:11:-1]])
    )
    counts = []
    for each in (block, changed):
        sums = sums_of(each)
        counts.append(greedy(sums, weights_U[None, sums.contested.users_X], 6, 5))
    assert counts[0] == counts[1]
    whole = [sums_of(each).gains(counts[0][0]).sum() for each in (block, changed)]
    assert whole[0] != whole[1]


def test_two_users_are_the_fewest():
    """One cannot be left out."""
    with pytest.raises(ValueError, match="there are two, got 1"):
        out_of_bag_ensemble(sums_of(random_block(0, num_users=1)), 3, 5)


# --- what is taken ---


def planted(seed: int, strengths_GC: Sequence[Sequence[float]], num_users: int = 400) -> Sums:
    """Models of noise, in which the items of each group of users stand out by so much."""
    rng = np.random.default_rng(seed)
    strengths = np.array(strengths_GC)
    scores_CBV = rng.standard_normal((strengths.shape[1], num_users, 40)).astype(np.float32)
    targets_B = rng.integers(1, 41, num_users)
    groups_B = rng.integers(len(strengths), size=num_users)
    scores_CBV[:, np.arange(num_users), targets_B - 1] += strengths[groups_B].T
    return sums_of(ScoredUsers(scores_CBV, targets_B, np.zeros((num_users, 1), dtype=int)))


def test_models_that_complement_each_other_are_taken():
    """Each good for another half of the users: the interval lies above 0 on every one of eight seeds."""
    lows = [
        out_of_bag_ensemble(
            planted(seed, [[3.0, 0.5], [0.5, 3.0]]), 6, 5, resamples=40
        ).comparison.low
        for seed in range(8)
    ]
    assert min(lows) > 0


def test_models_of_noise_beside_a_good_one_are_not_taken():
    """Of eight seeds none has an interval above 0, although the ensemble is at least as good at hand."""
    lows = [
        out_of_bag_ensemble(
            planted(seed, [[2.5, 0.0, 0.0, 0.0]]), 6, 5, resamples=40
        ).comparison.low
        for seed in range(8)
    ]
    assert max(lows) <= 0


def test_the_estimate_is_not_the_figure_at_hand():
    """A choice among many models of noise flatters itself at hand, and not out of bag."""
    at_hand, expected = [], []
    for seed in range(6):
        sums = planted(seed, [[0.3] * 6], num_users=200)
        [counts] = greedy(sums, np.ones((1, len(sums.contested.users_X))), 8, 5)
        [single] = greedy(sums, np.ones((1, len(sums.contested.users_X))), 1, 5)
        at_hand.append((sums.gains(counts).sum() - sums.gains(single).sum()) / 200)
        expected.append(out_of_bag_ensemble(sums, 8, 5, resamples=40).comparison.difference)
    assert np.mean(expected) < np.mean(at_hand)
