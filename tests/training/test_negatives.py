"""Negative sampling: only items that a user never met, all of them alike."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.data.table import unmet_before
from blade_tune.training.negatives import NegativeSampler


def sampler(met: dict[int, set[int]], num_items: int) -> NegativeSampler:
    """A sampler of users who met the given items."""
    keys = sorted(user * (num_items + 1) + item for user, items in met.items() for item in items)
    keys_N = np.array(keys, np.int64)
    return NegativeSampler(
        *map(torch.from_numpy, (keys_N, unmet_before(keys_N, num_items))), num_items
    )


@given(
    num_items=st.integers(1, 12),
    histories=st.lists(st.sets(st.integers(1, 12)), min_size=1, max_size=6),
    seed=st.integers(0, 99),
)
def test_a_met_item_is_never_drawn(num_items: int, histories: list[set[int]], seed: int):
    """Whatever users met, draws are items they did not meet; a user who met all gets any, one who met none too."""
    met = {
        user: {item for item in items if item <= num_items}
        for user, items in enumerate(histories, start=1)
    }
    torch.manual_seed(seed)
    drawn_BL = sampler(met, num_items).draw(torch.tensor([*met, *met]), 20)
    everything = set(range(1, num_items + 1))
    for user, items_L in zip([*met, *met], drawn_BL.tolist(), strict=True):
        assert set(items_L) <= (everything - met[user] or everything)


@pytest.mark.parametrize(
    "met", [{1: {1, 2, 5, 6, 10}}, {1: {10}}, {1: set(), 2: {4}}, {1: set(range(1, 11))}]
)
def test_every_other_item_is_drawn_equally_often(met: dict[int, set[int]]):
    """Unmet items come in equal shares: 40,000 draws are within five standard deviations."""
    torch.manual_seed(0)
    counts_V = torch.bincount(sampler(met, 10).draw(torch.tensor([1]), 40_000)[0], minlength=11)
    possible = sorted(set(range(1, 11)) - met[1]) or list(range(1, 11))
    share = 40_000 / len(possible)
    assert set(counts_V.nonzero()[:, 0].tolist()) == set(possible)
    assert all(abs(int(counts_V[item]) - share) < 5 * share**0.5 for item in possible)


def test_draws_follow_torch_s_generator():
    """The same seed draws the same, the next draw is another."""
    draws = []
    for _ in range(2):
        torch.manual_seed(7)
        drawer = sampler({1: {3}, 2: {4, 5}}, 50)
        draws.append([drawer.draw(torch.tensor([1, 2]), 8) for _ in range(2)])
    assert torch.equal(draws[0][0], draws[1][0])
    assert not torch.equal(draws[0][0], draws[0][1])


@given(num_items=st.integers(1, 12), count=st.integers(1, 40), seed=st.integers(0, 99))
def test_shared_negatives_are_any_items(num_items: int, count: int, seed: int):
    """So many draws from 1..V, whoever met what; never padding."""
    torch.manual_seed(seed)
    drawn_X = sampler({1: set(range(1, num_items + 1))}, num_items).draw_shared(count)
    assert drawn_X.shape == (count,)
    assert drawn_X.dtype == torch.int64
    assert set(drawn_X.tolist()) <= set(range(1, num_items + 1))


def test_shared_negatives_come_equally_often():
    """All items come in equal shares: 40,000 draws are within five standard deviations."""
    torch.manual_seed(0)
    counts_V = torch.bincount(sampler({1: {1, 2}}, 10).draw_shared(40_000), minlength=11)
    assert counts_V[0] == 0
    assert all(abs(int(count) - 4000) < 5 * 4000**0.5 for count in counts_V[1:])


def test_shared_negatives_follow_torch_s_generator():
    """The same seed draws the same, the next draw is another, and one draw is one call of randint."""
    draws = []
    for _ in range(2):
        torch.manual_seed(7)
        drawer = sampler({1: {3}}, 50)
        draws.append([drawer.draw_shared(8) for _ in range(2)])
    assert torch.equal(draws[0][0], draws[1][0])
    assert not torch.equal(draws[0][0], draws[0][1])
    torch.manual_seed(7)
    assert torch.equal(draws[0][0], torch.randint(1, 51, (8,)))
    assert torch.equal(draws[0][1], torch.randint(1, 51, (8,)))
