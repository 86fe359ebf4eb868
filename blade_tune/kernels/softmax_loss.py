"""Cross-entropy over all items, in blocks of rows.

The logits of a batch are as many as its steps times all items, a thousand times the states. So the gradients of a block
are made as soon as its logits are there, and only the gradients are kept: for 2,000 states and 20,494 items 0.16 s
where torch's own loss takes 0.51 s and keeps 164 MB (docs/performance.md, "The nine models").
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

# Logits of a block. Those of a CPU fit its cache, as measured; those of a GPU are not measured.
LOGITS_AT_ONCE = {"cpu": 2**20, "gpu": 2**26}
FEWEST_ROWS = 16  # rows of a block, however many items there are


def plain_softmax_loss(
    states_ND: Tensor, vectors_VD: Tensor, targets_N: Tensor, weights_N: Tensor
) -> Tensor:
    """Compute what `softmax_loss` computes, with all logits at once."""
    losses_N = functional.cross_entropy(states_ND @ vectors_VD.T, targets_N, reduction="none")
    return (weights_N * losses_N).sum()


def softmax_loss(
    states_ND: Tensor, vectors_VD: Tensor, targets_N: Tensor, weights_N: Tensor
) -> Tensor:
    """Compute sum_n w_n (log sum_v exp(h_n . x_v) - h_n . x_target(n)).

    Args:
        states_ND: h.
        vectors_VD: x of every item that takes part.
        targets_N: the row of each state's target in `vectors_VD`, int64.
        weights_N: w; has no gradient.

    Returns:
        The weighted sum, a scalar.
    """
    loss: Tensor = _SoftmaxLoss.apply(states_ND, vectors_VD, targets_N, weights_N)  # type: ignore[no-untyped-call]
    return loss


class _SoftmaxLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, states_ND: Tensor, vectors_VD: Tensor, targets_N: Tensor, weights_N: Tensor
    ) -> Tensor:
        grad_states_ND = torch.empty_like(states_ND)
        grad_vectors_VD = torch.zeros_like(vectors_VD)
        total = states_ND.new_zeros(())
        kind = "cpu" if states_ND.device.type == "cpu" else "gpu"
        num_rows = max(FEWEST_ROWS, LOGITS_AT_ONCE[kind] // len(vectors_VD))
        for start in range(0, len(states_ND), num_rows):
            rows = slice(start, start + num_rows)
            logits_XV = states_ND[rows] @ vectors_VD.T
            target_X1 = targets_N[rows, None]
            weight_X1 = weights_N[rows, None]

            # The loss. Logits turn into exponentials in place, so that there is one exponential a logit.
            logits_XV -= logits_XV.amax(dim=1, keepdim=True)
            scores_X1 = logits_XV.gather(1, target_X1)
            sum_X1 = logits_XV.exp_().sum(dim=1, keepdim=True)
            losses_X1 = sum_X1.log() - scores_X1
            total = total + (weight_X1 * losses_X1).sum()

            # Its gradient, w (softmax - one-hot), in the same memory.
            grad_XV = logits_XV.mul_(weight_X1 / sum_X1)
            grad_XV.scatter_add_(1, target_X1, -weight_X1)
            grad_states_ND[rows] = grad_XV @ vectors_VD
            grad_vectors_VD.addmm_(grad_XV.T, states_ND[rows])
        ctx.save_for_backward(grad_states_ND, grad_vectors_VD)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grad_states_ND, grad_vectors_VD = ctx.saved_tensors
        return grad * grad_states_ND, grad * grad_vectors_VD, None, None
