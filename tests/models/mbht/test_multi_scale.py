"""Attention at several scales; that all of it together is the public code's, tests/parity says."""

import pytest
import torch

from blade_tune.models.mbht.multi_scale import LowRankAttention, Scales, pool
from tests.builders import shaken


@pytest.mark.parametrize(
    ("pooling", "twin"),
    [
        ("contiguous", [(0 + 1 + 2) / 3, (3 + 4 + 5) / 3]),
        ("strided", [(0 + 2 + 4) / 3, (1 + 3 + 5) / 3]),
    ],
)
def test_a_mean_is_of_the_slots_that_pooling_names(pooling, twin):
    """Contiguous means are of neighbors, strided ones of slots L / width apart."""
    states_BLD = torch.arange(6.0)[None, :, None]
    assert pool(states_BLD, 3, pooling).flatten().tolist() == twin


def test_low_rank_attention_does_not_see_padding():
    """States of padding do not enter the mixtures of keys and values; those of real slots do."""
    attention = shaken(LowRankAttention(4, 2, 0.0, Scales(num_slots=6, rank=3, widths=(2, 3))))
    states_BLD = torch.randn(
        1, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    other_BLD = states_BLD.clone()
    other_BLD[:, 4:] = 7.0
    real_BL = torch.arange(6)[None] < 4
    assert torch.equal(
        attention(states_BLD, states_BLD, real_BL), attention(states_BLD, other_BLD, real_BL)
    )
    assert not torch.equal(
        attention(states_BLD, states_BLD, real_BL),
        attention(states_BLD, other_BLD, torch.ones_like(real_BL)),
    )
