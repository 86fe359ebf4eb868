"""The losses that models share."""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from blade_tune.loss_names import NextItemLoss as NextItemLoss

Similarity = Literal["dot", "cosine"]

LOGITS_AT_ONCE = {"cpu": 2**20, "gpu": 2**26}  # of a softmax over all items; the CPU's is measured, the GPU's is not
FEWEST_ROWS = 16  # at once, however many items there are


def binary_cross_entropy(positive_BL: Tensor, negative_BL: Tensor) -> Tensor:
    """softplus(-s+) + softplus(s-) of each step: one sampled negative against the true next item (BLADE, Eq. 16)."""
    return functional.softplus(-positive_BL) + functional.softplus(negative_BL)


def richness(target_sets_BLK: Tensor, dtype: torch.dtype) -> Tensor:
    """|b| / K of each step, in (0, 1]: the richer the target's behavior set, the more it counts (BLADE, Eq. 15)."""
    return target_sets_BLK.to(dtype).mean(dim=-1)


class SoftmaxLoss(torch.autograd.Function):
    """sum_n w_n (log sum_v exp(h_n . x_v) - h_n . x_target(n)): cross-entropy over all items, in blocks of rows.

    The logits of a batch are its steps times all items, a thousand times the states. So a block's gradients are made
    as soon as its logits are there, and nothing but the gradients is kept.
    """

    @staticmethod
    def forward(ctx: Any, states_ND: Tensor, vectors_VD: Tensor, targets_N: Tensor, weights_N: Tensor) -> Tensor:
        """The weighted sum; targets are rows of `vectors_VD`, weights have no gradient."""
        grad_states_ND, grad_vectors_VD = torch.empty_like(states_ND), torch.zeros_like(vectors_VD)
        total = states_ND.new_zeros(())
        kind = "cpu" if states_ND.device.type == "cpu" else "gpu"
        num_rows = max(FEWEST_ROWS, LOGITS_AT_ONCE[kind] // len(vectors_VD))
        for start in range(0, len(states_ND), num_rows):
            rows = slice(start, start + num_rows)
            logits_XV = states_ND[rows] @ vectors_VD.T
            target_X1, weight_X1 = targets_N[rows, None], weights_N[rows, None]
            logits_XV -= logits_XV.amax(dim=1, keepdim=True)
            scores_X1 = logits_XV.gather(1, target_X1)
            sum_X1 = logits_XV.exp_().sum(dim=1, keepdim=True)
            total = total + (weight_X1 * (sum_X1.log() - scores_X1)).sum()
            grad_XV = logits_XV.mul_(weight_X1 / sum_X1).scatter_add_(1, target_X1, -weight_X1)
            grad_states_ND[rows] = grad_XV @ vectors_VD
            grad_vectors_VD.addmm_(grad_XV.T, states_ND[rows])
        ctx.save_for_backward(grad_states_ND, grad_vectors_VD)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Of states and vectors."""
        grad_states_ND, grad_vectors_VD = ctx.saved_tensors
        return grad * grad_states_ND, grad * grad_vectors_VD, None, None


def softmax_loss(states_ND: Tensor, vectors_VD: Tensor, targets_N: Tensor, weights_N: Tensor) -> Tensor:
    """See SoftmaxLoss."""
    loss: Tensor = SoftmaxLoss.apply(states_ND, vectors_VD, targets_N, weights_N)  # type: ignore[no-untyped-call]
    return loss


def sampled_softmax(positive_N: Tensor, negative_NX: Tensor) -> Tensor:
    """log(exp s+ + sum_x exp s-_x) - s+ of each step: softmax over the target and a sample of negatives.

    Args:
        positive_N: scores of targets.
        negative_NX: scores of the sample, -inf where it holds the target.
    """
    return torch.logaddexp(positive_N, negative_NX.logsumexp(dim=1)) - positive_N


class Gram(torch.autograd.Function):
    """z z^T, whose gradient (G + G^T) z is one product; autograd makes it two."""

    generate_vmap_rule = True

    @staticmethod
    def forward(rows_XD: Tensor) -> Tensor:
        """The dot product of each row with each."""
        return rows_XD @ rows_XD.T

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:  # noqa: ARG004 - torch passes it
        """Keep the rows."""
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad_XX: Tensor) -> Tensor:
        """Of the rows."""
        (rows_XD,) = ctx.saved_tensors
        return (grad_XX + grad_XX.T) @ rows_XD


def contrastive(first_ND: Tensor, second_ND: Tensor, similarity: Similarity, tau: float) -> Tensor:
    """InfoNCE over the 2N rows of two views, in float32 or wider: the mean of both directions.

    The positive of a row is its other view; the 2N - 2 other rows of both views are its negatives, and the positive
    stands in the denominator (ICLRec's NCELoss, DuoRec's info_nce). `dot` is divided by the width of the vectors.

    Deviates: BLADE's Eq. 17 sums the two directions (twice this mean), and Eq. 18 leaves the positive out of the
    denominator, where a free dot product has no lower bound.
    """
    views_XD = torch.cat((first_ND, second_ND))
    if views_XD.dtype in (torch.float16, torch.bfloat16):
        views_XD = views_XD.float()
    if similarity == "cosine":
        views_XD = functional.normalize(views_XD, dim=-1)
    similarity_XX: Tensor = Gram.apply(views_XD)  # type: ignore[no-untyped-call]
    if similarity == "dot":
        similarity_XX = similarity_XX / views_XD.shape[-1]
    N, X = len(first_ND), len(views_XD)
    itself_XX = torch.eye(X, dtype=torch.bool, device=views_XD.device)
    logits_XX = (similarity_XX / tau).masked_fill(itself_XX, -torch.inf)
    other_view_X = torch.arange(X, device=views_XD.device).roll(N)
    return functional.cross_entropy(logits_XX, other_view_X)
