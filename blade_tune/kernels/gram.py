"""The products of all pairs of rows, with a gradient of one product.

Autograd computes the gradient of z z^T as two products, G z and G^T z. As (G + G^T) z it is one, so forward and
backward take two products instead of three (docs/performance.md, "What was tried").
"""

from typing import Any

import torch
from torch import Tensor


def plain_gram(rows_XD: Tensor) -> Tensor:
    """Compute what `gram` computes, under autograd."""
    return rows_XD @ rows_XD.T


def gram(rows_XD: Tensor) -> Tensor:
    """Compute the dot product of each row with each row, (X, X)."""
    products_XX: Tensor = _Gram.apply(rows_XD)  # type: ignore[no-untyped-call]
    return products_XX


class _Gram(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(rows_XD: Tensor) -> Tensor:
        return rows_XD @ rows_XD.T

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:  # noqa: ARG004 - torch passes it
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad_XX: Tensor) -> Tensor:
        (rows_XD,) = ctx.saved_tensors
        return (grad_XX + grad_XX.T) @ rows_XD
