"""Attention with dropout on a CPU, where torch has no fused kernel for it.

Autograd keeps three numbers for each attention weight. This form keeps one, the weight with a sign that is negative
where the weight was dropped, and works in memory that it already has: `blade_released` on QK-Video takes 6 GB instead
of 8. It also computes on transposed heads, (X, L), since a product whose result is as narrow as one head takes up to
four times as long: 4.1 s of products an epoch instead of 7.0 s (docs/performance.md, "What was tried").
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from blade_tune.kernels.random_signs import draw_signs


def plain_dropped_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, rate: float
) -> Tensor:
    """Compute what `dropped_attention` computes, with the same draws, under autograd."""
    weights = torch.softmax(query @ key.mT + mask, dim=-1)
    signs = torch.empty_like(weights)
    share = draw_signs(signs, rate)
    left = weights * (signs > 0) / share
    return left @ value


def dropped_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, rate: float
) -> Tensor:
    """Compute dropout(softmax(q k^T + mask)) v, for each head.

    Args:
        query: (B, H, L, X), already divided by the square root of the heads' width.
        key: (B, H, M, X).
        value: (B, H, M, Y), where Y may differ from X.
        mask: (B, 1, L, M), added to the scores; has no gradient.
        rate: probability that an attention weight is dropped.

    Returns:
        The attended values, (B, H, L, Y).
    """
    attended: Tensor = _DroppedAttention.apply(query, key, value, mask, rate)  # type: ignore[no-untyped-call]
    return attended


class _DroppedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, rate: float
    ) -> Tensor:
        # The weights. Queries and keys are transposed from here on.
        query = query.mT.contiguous()
        key = key.mT.contiguous()
        buffer = (query.mT @ key).add_(mask)
        signed = buffer.softmax(dim=-1)

        # The buffer is used twice more: for the random signs, then for the weights that are left.
        share = draw_signs(buffer, rate)
        left = torch.clamp(signed.copysign_(buffer), min=0.0, out=buffer)

        # Values are fewer than weights, so they are divided by the share that is kept.
        value = value.mT.contiguous().mul(1.0 / share)
        attended = value @ left.mT
        ctx.save_for_backward(query, key, value, signed, attended)
        ctx.share = share
        return attended.mT

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        # With P the weights and P' those that are left: dS = P' * dP' - P * rowsum(P' * dP'). The row sums are those of
        # grad * attended, which is smaller than a matrix of weights.
        query, key, value, signed, attended = ctx.saved_tensors
        grad = grad.mT.contiguous()
        left = signed.relu()  # P'
        grad_value = (grad @ left).mul_(1.0 / ctx.share)
        row_sums = (grad * attended).sum(dim=-2)[..., None]

        # P takes the memory of P', which is not needed any more.
        grad_scores = (grad.mT @ value).mul_(left)
        weights = torch.abs(signed, out=left)
        grad_scores.addcmul_(weights, row_sums, value=-1.0)

        grad_query = key @ grad_scores.mT
        grad_key = query @ grad_scores
        return grad_query.mT, grad_key.mT, grad_value.mT, None, None
