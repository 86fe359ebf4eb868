"""Dropout whose draws cost a tenth of torch's on a CPU (see kernels/random_signs.py)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from blade_tune.kernels.random_signs import draw_signs


def dropout(states: Tensor, rate: float, training: bool) -> Tensor:
    """Set entries to zero with probability `rate` and divide the others by the share that is kept, as torch does."""
    if training and rate and states.device.type == "cpu":
        mask = torch.empty(states.shape, dtype=states.dtype)
        share = draw_signs(mask, rate)
        mask.add_(0.5).clamp_(0.0, 1.0)  # kept entries become 1, dropped ones 0
        return states * mask.mul_(1.0 / share)
    return functional.dropout(states, rate, training)


class Dropout(nn.Module):
    """Dropout as a layer.

    Args:
        rate: probability that an entry is dropped, in [0, 1).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, states: Tensor) -> Tensor:
        """Drop entries in training, leave them alone in evaluation."""
        return dropout(states, self.rate, self.training)
