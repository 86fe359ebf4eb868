import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.layers.attention import BehaviorAwareAttention, MultiHeadAttention, causal_mask
from tests.builders import shaken
from tests.layers.twins import attention, may_look, weights_of

REAL_BL = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], dtype=torch.bool)


def draw(seed: int) -> torch.Tensor:
    return torch.randn(
        *REAL_BL.shape, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )


@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_causal_mask_equals_its_twin(real):
    """A step may look at real steps up to itself, and always at itself: no row of the mask is empty."""
    mask_LL = causal_mask(torch.tensor([real]), torch.float32)[0, 0]
    assert set(mask_LL.flatten().tolist()) <= {0.0, -torch.inf}
    for step in range(len(real)):
        assert (mask_LL[step] == 0).nonzero()[:, 0].tolist() == may_look(real, step)


@pytest.mark.parametrize("num_heads", [1, 2, 8])
def test_multi_head_attention_equals_its_twin(num_heads):
    """Attention is softmax(Q K / sqrt(d_h)) V of each head, over the allowed steps only, then the output projection."""
    module = shaken(MultiHeadAttention(8, num_heads, dropout=0.5))
    queries_BLD, keys_BLD = draw(1), draw(2)
    ours_BLD = module(queries_BLD, keys_BLD, causal_mask(REAL_BL, torch.float64))
    twin = [
        attention(weights_of(module), queries, keys, real, num_heads)
        for queries, keys, real in zip(
            queries_BLD.tolist(), keys_BLD.tolist(), REAL_BL.tolist(), strict=True
        )
    ]
    torch.testing.assert_close(
        ours_BLD, torch.tensor(twin, dtype=torch.float64), atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("num_heads", [1, 2, 8])
def test_behavior_aware_attention_equals_two_score_matrices(num_heads):
    """One product of concatenated heads is the sum of item scores and behavior scores, over sqrt(d_h)."""
    module = shaken(BehaviorAwareAttention(8, num_heads, dropout=0.5))
    states_BLD, behaviors_BLD = draw(1), draw(2)
    ours_BLD = module(states_BLD, behaviors_BLD, causal_mask(REAL_BL, torch.float64))
    twin = [
        attention(weights_of(module), states, states, real, num_heads, behaviors)
        for states, behaviors, real in zip(
            states_BLD.tolist(), behaviors_BLD.tolist(), REAL_BL.tolist(), strict=True
        )
    ]
    torch.testing.assert_close(
        ours_BLD, torch.tensor(twin, dtype=torch.float64), atol=1e-12, rtol=0
    )


def test_attention_dropout_acts_only_in_training():
    """Attention weights are dropped in training, never in evaluation."""
    module = shaken(MultiHeadAttention(8, 2, dropout=0.5))
    states_BLD, mask_B1LL = draw(1), causal_mask(REAL_BL, torch.float64)
    still_BLD = module(states_BLD, states_BLD, mask_B1LL)
    assert torch.equal(module(states_BLD, states_BLD, mask_B1LL), still_BLD)
    module.train()
    assert not torch.allclose(module(states_BLD, states_BLD, mask_B1LL), still_BLD)
