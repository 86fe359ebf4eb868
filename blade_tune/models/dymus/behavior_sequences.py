"""Recurrences over the steps of one label at a time, for models that keep a sequence for each behavior (DyMuS)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class LabelSequences:
    """The steps of each label of a window, close together.

    A recurrence over the sequence of a label passes, one after the other, the states that it has after every step of
    the window: after step l it has seen the first `ends_BKL[:, :, l]` places.
    """

    steps_BKXD: Tensor  # K sequences a user; X is the longest of all
    ends_BKL: Tensor  # int64


def label_sequences(steps_BLD: Tensor, labels_BL: Tensor, num_labels: int, padded_to: int | None) -> LabelSequences:
    """Put the steps of each label in a row.

    Args:
        steps_BLD: the inputs of a recurrence.
        labels_BL: 1 to K; steps of label 0 are in no sequence.
        num_labels: K.
        padded_to: zeros stand before the steps of each sequence, up to so many in all; None: nothing does.
    """
    of_label_BKL = labels_BL[:, None] == torch.arange(1, num_labels + 1, device=labels_BL.device)[:, None]
    counts_BKL = of_label_BKL.cumsum(dim=-1)
    if padded_to is None:
        order_BKX = (~of_label_BKL).to(torch.uint8).argsort(dim=-1, stable=True)
        order_BKX = order_BKX[..., : max(1, int(counts_BKL[..., -1].max()))]
        return LabelSequences(_gather(steps_BLD, order_BKX), counts_BKL)
    order_BKX = of_label_BKL.to(torch.uint8).argsort(dim=-1, stable=True)
    steps_BKXD = _gather(steps_BLD, order_BKX) * of_label_BKL.gather(2, order_BKX)[..., None]
    steps_BKXD = functional.pad(steps_BKXD, (0, 0, padded_to - labels_BL.shape[1], 0))
    return LabelSequences(steps_BKXD, padded_to - counts_BKL[..., -1:] + counts_BKL)


def _gather(steps_BLD: Tensor, order_BKX: Tensor) -> Tensor:
    """steps_BKXD: the steps in the order of each label."""
    D, K = steps_BLD.shape[-1], order_BKX.shape[1]
    return steps_BLD[:, None].expand(-1, K, -1, -1).gather(2, order_BKX[..., None].expand(-1, -1, -1, D))


class LabelGru(nn.Module):
    """A GRU for each label.

    The public code has h = z n + (1 - z) h, torch h = (1 - z) n + z h: the same recurrence, z's weights negated.
    """

    def __init__(self, size: int, num_labels: int) -> None:
        super().__init__()
        self.grus = nn.ModuleList(nn.GRU(size, size, batch_first=True) for _ in range(num_labels))

    def forward(self, sequences: LabelSequences) -> Tensor:
        """states_BLKD of every label after every step of the window, zero before its first."""
        after = []
        for label, gru in enumerate(self.grus):
            states_BXD, _ = gru(sequences.steps_BKXD[:, label].contiguous())
            states_BXD = functional.pad(states_BXD, (0, 0, 1, 0))
            ends_BL1 = sequences.ends_BKL[:, label, :, None]
            after.append(states_BXD.gather(1, ends_BL1.expand(-1, -1, states_BXD.shape[-1])))
        return torch.stack(after, dim=2)
