import pytest
import torch

from blade_tune.layers.feed_forward import FeedForward
from tests.builders import shaken
from tests.layers.twins import feed_forward, weights_of


@pytest.mark.parametrize("inner_size", [4, 16])
def test_feed_forward_equals_its_twin(inner_size):
    """FFN(x) = gelu(x W1 + b1) W2 + b2, with the exact gelu."""
    module = shaken(FeedForward(4, inner_size))
    states_LD = 2 * torch.randn(
        5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    twin = [feed_forward(weights_of(module), state) for state in states_LD.tolist()]
    torch.testing.assert_close(
        module(states_LD), torch.tensor(twin, dtype=torch.float64), atol=1e-12, rtol=0
    )
