import pytest
import torch

from blade_tune.kernels import softmax_loss as module
from blade_tune.kernels.softmax_loss import plain_softmax_loss, softmax_loss


@pytest.mark.parametrize("fewest_rows", [1, 3, 16])
def test_the_loss_in_blocks_is_that_of_the_plain_form(fewest_rows, monkeypatch):
    """However few logits are made at once, value and gradients are those of torch's cross-entropy, weighted."""
    monkeypatch.setattr(module, "FEWEST_ROWS", fewest_rows)
    monkeypatch.setitem(module.LOGITS_AT_ONCE, "cpu", 1)
    random = torch.Generator().manual_seed(0)
    states_ND, vectors_VD = (
        torch.randn(n, 3, generator=random, dtype=torch.float64) for n in (7, 9)
    )
    inputs = [tensor.requires_grad_() for tensor in (states_ND, vectors_VD)]
    targets_N = torch.randint(9, (7,), generator=random)
    weights_N = torch.rand(7, generator=random, dtype=torch.float64)
    losses = [
        3.0 * form(*inputs, targets_N, weights_N) for form in (softmax_loss, plain_softmax_loss)
    ]
    torch.testing.assert_close(*losses, atol=1e-12, rtol=0)
    for ours, plain in zip(*(torch.autograd.grad(loss, inputs) for loss in losses), strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-12, rtol=0)


def test_the_loss_of_nothing_is_zero():
    """Without a single step the loss is zero and its gradients are zero, not NaN."""
    states_ND = torch.zeros(0, 3, requires_grad=True)
    vectors_VD = torch.ones(9, 3, requires_grad=True)
    loss = softmax_loss(states_ND, vectors_VD, torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    loss.backward()
    assert loss == 0.0
    assert not vectors_VD.grad.any()
