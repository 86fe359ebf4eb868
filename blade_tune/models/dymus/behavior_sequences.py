"""The steps of each behavior type as a sequence of its own, and recurrences over those sequences (DyMuS)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class BehaviorSequences:
    """The steps of each behavior type of a window, moved together.

    A recurrence over such a sequence passes, one after the other, the states that it has after every step of the
    window: after step l of the window it has seen the first `ends_BKL[:, :, l]` places.
    """

    steps_BKXD: Tensor  # K sequences for each user; X is the length of the longest of all
    ends_BKL: Tensor  # int64


def behavior_sequences(
    steps_BLD: Tensor, types_BL: Tensor, num_behaviors: int, padded_to: int | None
) -> BehaviorSequences:
    """Move the steps of each behavior type together, in their order.

    Args:
        steps_BLD: the inputs of a recurrence.
        types_BL: behavior types, 1 to K; steps of type 0 are in no sequence.
        num_behaviors: K.
        padded_to: length of all sequences, with zeros before their steps; None: no zeros, as long as the longest.
    """
    types_K1 = torch.arange(1, num_behaviors + 1, device=types_BL.device)[:, None]
    of_type_BKL = types_BL[:, None] == types_K1
    counts_BKL = of_type_BKL.cumsum(dim=-1)
    if padded_to is None:
        # The steps of a type come first, and what is behind the longest sequence is cut off.
        order_BKX = (~of_type_BKL).to(torch.uint8).argsort(dim=-1, stable=True)
        if not torch.compiler.is_exporting():  # an exported program cannot look at the steps
            longest = max(1, int(counts_BKL[..., -1].max()))
            order_BKX = order_BKX[..., :longest]
        return BehaviorSequences(_gather(steps_BLD, order_BKX), counts_BKL)

    # The steps of a type come last, and zeros stand before them.
    order_BKX = of_type_BKL.to(torch.uint8).argsort(dim=-1, stable=True)
    is_step_BKX1 = of_type_BKL.gather(2, order_BKX)[..., None]
    steps_BKXD = _gather(steps_BLD, order_BKX) * is_step_BKX1
    missing = padded_to - types_BL.shape[1]
    steps_BKXD = functional.pad(steps_BKXD, (0, 0, missing, 0))
    starts_BK1 = padded_to - counts_BKL[..., -1:]
    return BehaviorSequences(steps_BKXD, starts_BK1 + counts_BKL)


def _gather(steps_BLD: Tensor, order_BKX: Tensor) -> Tensor:
    """Gather the steps in the order of each behavior type, steps_BKXD."""
    K = order_BKX.shape[1]
    D = steps_BLD.shape[-1]
    steps_BKLD = steps_BLD[:, None].expand(-1, K, -1, -1)
    order_BKXD = order_BKX[..., None].expand(-1, -1, -1, D)
    return steps_BKLD.gather(2, order_BKXD)


class BehaviorGru(nn.Module):
    """A GRU for each behavior type.

    The public code has h = z n + (1 - z) h, torch h = (1 - z) n + z h: the same recurrence, with z's weights negated.
    """

    def __init__(self, size: int, num_behaviors: int) -> None:
        super().__init__()
        self.grus = nn.ModuleList(
            nn.GRU(size, size, batch_first=True) for _ in range(num_behaviors)
        )

    def forward(self, sequences: BehaviorSequences) -> Tensor:
        """Run every GRU over the sequences of its behavior type.

        Returns:
            states_BLKD of every behavior type after every step of the window, zero before its first.
        """
        after = []
        for k, gru in enumerate(self.grus):
            # The state at place 0 is that before any step.
            states_BXD, _ = gru(sequences.steps_BKXD[:, k].contiguous())
            states_BXD = functional.pad(states_BXD, (0, 0, 1, 0))
            ends_BL1 = sequences.ends_BKL[:, k, :, None]
            ends_BLD = ends_BL1.expand(-1, -1, states_BXD.shape[-1])
            after.append(states_BXD.gather(1, ends_BLD))
        return torch.stack(after, dim=2)
