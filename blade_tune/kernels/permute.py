"""Rows in another order, with a gradient that is put in order too.

Autograd's gradient of `rows[order]` adds up rows one by one, since it cannot know that an order has no repeats. With
the inverse order at hand it is a second `index_select` (docs/performance.md, "What was tried").
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def plain_permute(rows_ND: Tensor, order_N: Tensor) -> Tensor:
    """Compute what `permute` computes, under autograd."""
    return rows_ND[order_N]


def permute(rows_ND: Tensor, order_N: Tensor, inverse_N: Tensor) -> Tensor:
    """Put rows in another order.

    Args:
        rows_ND: any rows.
        order_N: the row that stands at each place afterwards, each row once.
        inverse_N: the place at which each row stands afterwards: `order_N.argsort()`.

    Returns:
        The rows in the new order, (N, D).
    """
    permuted_ND: Tensor = _Permute.apply(rows_ND, order_N, inverse_N)  # type: ignore[no-untyped-call]
    return permuted_ND


class _Permute(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows_ND: Tensor, order_N: Tensor, inverse_N: Tensor) -> Tensor:
        ctx.save_for_backward(inverse_N)
        return rows_ND.index_select(0, order_N)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_ND: Tensor) -> tuple[Tensor | None, ...]:
        (inverse_N,) = ctx.saved_tensors
        return grad_ND.index_select(0, inverse_N), None, None
