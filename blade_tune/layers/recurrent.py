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


class CapsuleGru(nn.Module):
    """A GRU for each label and class, over capsules of X numbers, whose inputs a context scales (DyMuS+, dynamic GRU).

    r, z = sigmoid(i + W_h h + b_h), n = tanh(i + r (W_h h + b_h)), h = z n + (1 - z) h, each with its own part of
    i = (W_i x + b_i) (W_c c + b_c), where c is the context of the step.

    Labels and classes are one axis G of batched products.

    Args:
        size: D, of the inputs.
        num_labels: K.
        num_classes: C.
        capsule_size: X.
    """

    def __init__(self, size: int, num_labels: int, num_classes: int, capsule_size: int) -> None:
        super().__init__()
        groups, gates, bound = num_labels * num_classes, 3 * capsule_size, size**-0.5

        def drawn(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))

        self.input_weight_KDF = drawn(num_labels, size, num_classes * gates)
        self.context_weight_GXF = drawn(groups, capsule_size, gates)
        self.state_weight_GXF = drawn(groups, capsule_size, gates)
        self.input_bias_G1F = drawn(groups, 1, gates)
        self.context_bias_G1F = drawn(groups, 1, gates)
        self.state_bias_G1F = drawn(groups, 1, gates)

    def inputs(self, sequences: LabelSequences) -> Tensor:
        """inputs_XGBF: W_i x + b_i, which no context changes."""
        inputs_KNF = sequences.steps_BKXD.permute(1, 2, 0, 3).flatten(1, 2) @ self.input_weight_KDF
        B, K, X, _ = sequences.steps_BKXD.shape
        inputs_XGBF = inputs_KNF.view(K, X, B, -1, self.state_bias_G1F.shape[-1]).permute(1, 0, 3, 2, 4).flatten(1, 2)
        return inputs_XGBF + self.input_bias_G1F

    def forward(
        self, inputs_XGBF: Tensor, rows_N: Tensor, ends_GN: Tensor, contexts_XGNX: list[Tensor] | None
    ) -> tuple[Tensor, list[Tensor]]:
        """Run samples, each over the sequences of its user up to its own ends.

        Args:
            inputs_XGBF: of all users.
            rows_N: the user of each sample.
            ends_GN: how many places of each sequence a sample has seen.
            contexts_XGNX: of every place; None is zero.

        Returns:
            the last states_GNX, and the candidates n_GNX of every place.
        """
        state_GNX = inputs_XGBF.new_zeros(len(ends_GN), len(rows_N), self.state_weight_GXF.shape[1])
        candidates = []
        for place, inputs_GBF in enumerate(inputs_XGBF):
            scales_GNF: Tensor = self.context_bias_G1F
            if contexts_XGNX is not None:
                scales_GNF = torch.baddbmm(scales_GNF, contexts_XGNX[place], self.context_weight_GXF)
            scaled_GNF = inputs_GBF[:, rows_N] * scales_GNF
            recurrent_GNF = torch.baddbmm(self.state_bias_G1F, state_GNX, self.state_weight_GXF)
            X = state_GNX.shape[-1]
            gates_GNF = torch.sigmoid(scaled_GNF[..., : 2 * X] + recurrent_GNF[..., : 2 * X])
            reset_GNX, update_GNX = gates_GNF.chunk(2, dim=-1)
            candidate_GNX = torch.tanh(scaled_GNF[..., 2 * X :] + reset_GNX * recurrent_GNF[..., 2 * X :])
            update_GNX = update_GNX * (place < ends_GN)[..., None]
            state_GNX = torch.lerp(state_GNX, candidate_GNX, update_GNX)
            candidates.append(candidate_GNX)
        return state_GNX, candidates
