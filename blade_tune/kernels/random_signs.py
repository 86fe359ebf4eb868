"""Random signs, of which dropout masks are made, at a tenth of the cost of torch's draws on a CPU.

Torch draws one Bernoulli number an entry, one after the other, which takes longer than everything else in these models.
Here one draw of 64 bits decides four entries. An epoch of `blade_released` on QK-Video spent 18.0 s in draws before and
1.3 s after (docs/performance.md, "What was tried").
"""

import math

import torch
from torch import Tensor

LEVELS = 2**16  # that a draw of 16 bits distinguishes
LANES = 4  # draws of 16 bits in one of 64


def plain_draw_signs(out: Tensor, rate: float) -> float:
    """Do what `draw_signs` does, with torch's own draws: equal in distribution, not in the numbers drawn."""
    is_kept = torch.rand(out.shape) >= rate
    out.copy_(is_kept).sub_(0.5)
    return 1.0 - rate


def draw_signs(out: Tensor, rate: float) -> float:
    """Draw which entries dropout keeps, and write the answer into a tensor.

    An entry becomes positive where it is kept and negative where it is dropped; its absolute value is at least 0.5.

    Args:
        out: the tensor to write to, of any shape and floating type, on the CPU.
        rate: probability that an entry is dropped, rounded to a multiple of 1/65,536.

    Returns:
        The exact probability that an entry is kept, by which the kept ones are to be divided.
    """
    num_dropped = round(rate * LEVELS)

    # Each of the four parts of a draw is uniform from -32,768 to 32,767.
    num_draws = math.ceil(out.numel() / LANES)
    draws = torch.empty(num_draws, dtype=torch.int64).random_(-(2**63), None)
    levels = draws.view(torch.int16)[: out.numel()].view(out.shape)

    # The lowest `num_dropped` levels become negative; the half keeps every entry away from zero.
    out.copy_(levels).sub_(num_dropped - LEVELS // 2 - 0.5)
    return 1.0 - num_dropped / LEVELS
