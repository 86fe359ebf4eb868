import pytest
import torch

from blade_tune.kernels.dropped_attention import dropped_attention, plain_dropped_attention
from blade_tune.layers.attention import causal_mask

REAL_BL = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], dtype=torch.bool)


# Of queries and keys; behavior-aware ones are twice as wide as values
@pytest.mark.parametrize("width", [3, 6])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_values_and_gradients_are_those_of_the_plain_form(width, rate):
    """With the same draws, attention with dropout and all its gradients are softmax, mask and product one by one."""
    random = torch.Generator().manual_seed(0)
    L = REAL_BL.shape[1]
    inputs = [
        torch.randn(3, 2, L, size, dtype=torch.float64, generator=random)
        for size in (width, width, 3)
    ]
    heads = [part.requires_grad_() for part in inputs]
    mask_B1LL = causal_mask(REAL_BL, torch.float64)
    results = []
    for form in (dropped_attention, plain_dropped_attention):
        torch.manual_seed(1)
        results.append(form(*heads, mask_B1LL, rate))
    torch.testing.assert_close(*results, atol=1e-12, rtol=0)
    grad = torch.randn(results[0].shape, dtype=torch.float64, generator=random)
    gradients = [torch.autograd.grad(attended, heads, grad) for attended in results]
    for ours, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-12, rtol=0)


def test_inputs_are_left_alone():
    """Nothing is changed in place that a caller may hold, in whatever order it lies in memory."""
    heads = torch.randn(3, 2, 4, 5).mT
    before = heads.clone()
    dropped_attention(heads, heads, heads, torch.zeros(3, 1, 5, 5), 0.5)
    assert torch.equal(heads, before)
