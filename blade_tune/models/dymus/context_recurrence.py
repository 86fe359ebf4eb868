"""Recurrences of capsules over many sequences of different lengths, with inputs that a context weighs (DyMuS+).

Shapes beyond the legend in batch.py: S sequences, M slots of a sequence, P cells (the slots that are computed, of all
sequences), C capsules, each with weights of its own, X numbers of a capsule, Y = 3 X, N samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

ROWS = 16  # products of a multiple of so many rows are all rounded alike


def recur(
    firsts_CSY: Sequence[Tensor], weight_CXY: Tensor, bias_CY: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """Run a gated recurrent unit over the slots of many sequences.

    r, z = sigmoid(f + s); n = tanh(f_n + r s_n); h = z n + (1 - z) h', with s = h' W + b and h' = 0 at the start. It is
    torch's GRU, whose z is 1 - z here.

    Args:
        firsts_CSY: f of each slot, in the order r, z, n. A slot has all sequences of the slot before or its first few.
        weight_CXY: W.
        bias_CY: b.

    Returns:
        The states h and the candidates n of each slot, both (C, S, X).
    """
    C, X, _ = weight_CXY.shape
    bias_C1Y = bias_CY[:, None]
    num_sequences = firsts_CSY[0].shape[1] if firsts_CSY else 0
    state_CSX = weight_CXY.new_zeros(C, num_sequences, X)
    states = []
    candidates = []
    for first_CSY in firsts_CSY:
        # Sequences that have ended drop out.
        if first_CSY.shape[1] < state_CSX.shape[1]:
            state_CSX = state_CSX[:, : first_CSY.shape[1]]
        second_CSY = torch.baddbmm(bias_C1Y, state_CSX, weight_CXY)

        # r and z.
        gates_CSX = torch.sigmoid(first_CSY[..., : 2 * X] + second_CSY[..., : 2 * X])
        reset_CSX, update_CSX = gates_CSX.chunk(2, dim=-1)

        # n and h.
        first_CSX = first_CSY[..., 2 * X :]
        second_CSX = second_CSY[..., 2 * X :]
        candidate_CSX = torch.tanh(torch.addcmul(first_CSX, reset_CSX, second_CSX))
        state_CSX = torch.lerp(state_CSX, candidate_CSX, update_CSX)
        states.append(state_CSX)
        candidates.append(candidate_CSX)
    return states, candidates


class ContextRecurrence(nn.Module):
    """A gated recurrent unit of C capsules whose inputs are weighed by a context (DyMuS+).

    f = (x W_x + b_x) * (c W_c + b_c): each capsule has weights, a state and a context c of its own, and x is the same
    for all. Weights start uniform within 1 / sqrt(inputs of their product).

    Args:
        size: D.
        num_capsules: C.
        capsule_size: X.
    """

    def __init__(self, size: int, num_capsules: int, capsule_size: int) -> None:
        super().__init__()
        C, Y = num_capsules, 3 * capsule_size
        self.input_weight_DCY = uniform(size, size, C, Y)
        self.input_bias_CY = uniform(size, C, Y)
        self.context_weight_CXY = uniform(capsule_size, C, capsule_size, Y)
        self.context_bias_CY = uniform(capsule_size, C, Y)
        self.hidden_weight_CXY = uniform(capsule_size, C, capsule_size, Y)
        self.hidden_bias_CY = uniform(capsule_size, C, Y)

    def inputs(self, vectors_PD: Tensor) -> Tensor:
        """Compute x W_x + b_x of any cells, inputs_PCY."""
        bias_X = self.input_bias_CY.flatten()
        weight_DX = self.input_weight_DCY.flatten(1)
        inputs_PX = torch.addmm(bias_X, vectors_PD, weight_DX)
        return inputs_PX.unflatten(1, self.input_bias_CY.shape)

    def forward(
        self, inputs_PCY: Tensor, contexts_CPX: Tensor | None, sizes: list[int]
    ) -> tuple[Tensor, Tensor]:
        """Run over all cells of packed sequences.

        Args:
            inputs_PCY: x W_x + b_x of the cells, in a packing's order.
            contexts_CPX: c of the cells, in the same order; None is zero.
            sizes: the packing's cells of each slot.

        Returns:
            The states and the candidates of all cells, both (C, P + 1, X); the last one, zero, stands for no cell.
        """
        # f = (x W_x + b_x) * (c W_c + b_c).
        weights_CPY = self.context_bias_CY[:, None]
        if contexts_CPX is not None:
            weights_CPY = torch.baddbmm(weights_CPY, contexts_CPX, self.context_weight_CXY)
        firsts_CPY = weights_CPY * inputs_PCY.transpose(0, 1)

        # Run slot by slot, and put the cells of all slots together again.
        firsts_CSY = firsts_CPY.split(sizes, dim=1)
        states, candidates = recur(firsts_CSY, self.hidden_weight_CXY, self.hidden_bias_CY)
        C, X, _ = self.hidden_weight_CXY.shape
        none_C1X = self.hidden_weight_CXY.new_zeros(C, 1, X)
        states_CPX = torch.cat([*states, none_C1X], dim=1)
        candidates_CPX = torch.cat([*candidates, none_C1X], dim=1)
        return states_CPX, candidates_CPX


def uniform(fan_in: int, *shape: int) -> nn.Parameter:
    """Make a parameter drawn uniformly within 1 / sqrt(fan_in)."""
    bound = fan_in**-0.5
    return nn.Parameter(nn.init.uniform_(torch.empty(shape), -bound, bound))


@dataclass(frozen=True)
class Packing:
    """The order in which a recurrence computes sequences of different lengths with hardly any padding.

    Cells stand slot after slot. A slot has the sequences that are long enough, the longest first. Their number is
    rounded up to a multiple of ROWS, since products of other sizes are rounded differently, and a state must not depend
    on which others are computed with it. Packing reads the data twice, for which a GPU has to wait; the padding left
    out outweighs that many times.
    """

    lengths_S: Tensor
    sizes: list[int]  # cells of each slot
    ranks_S: Tensor  # place of a sequence within a slot
    starts_M: Tensor  # of each slot's cells
    sequences_P: Tensor  # of each cell
    slots_P: Tensor  # of each cell

    @classmethod
    def of(cls, lengths_S: Tensor, num_slots: int) -> "Packing":
        """Pack sequences of the given lengths, none longer than `num_slots`."""
        # Order the sequences from the longest on.
        S = len(lengths_S)
        order_S = lengths_S.argsort(descending=True, stable=True)
        places_S = torch.arange(S, device=lengths_S.device)
        ranks_S = torch.empty_like(order_S).scatter_(0, order_S, places_S)

        # Count the sequences that have each slot, rounded up to a multiple of ROWS.
        slots_M1 = torch.arange(num_slots, device=lengths_S.device)[:, None]
        longer_M = (lengths_S > slots_M1).sum(dim=1)
        sizes_M = (-(-longer_M // ROWS) * ROWS).clamp_max(S)

        # Number the cells, slot after slot.
        takes_MS = places_S < sizes_M[:, None]
        slots_P, places_P = takes_MS.nonzero(as_tuple=True)
        return cls(
            lengths_S=lengths_S,
            sizes=[size for size in sizes_M.tolist() if size],
            ranks_S=ranks_S,
            starts_M=sizes_M.cumsum(dim=0) - sizes_M,
            sequences_P=order_S[places_P],
            slots_P=slots_P,
        )

    def cells(self, sequences_N: Tensor, slots_N: Tensor) -> Tensor:
        """Find the cells of given slots of sequences; slot -1 is the one after all cells."""
        cells_N = self.ranks_S[sequences_N] + self.starts_M[slots_N]
        return torch.where(slots_N < 0, len(self.slots_P), cells_N)


def rows_of(table: Tensor, rows_N: Tensor) -> Tensor:
    """Take rows of a tensor with the gradient of an embedding, which is the same in every run, on a GPU too."""
    return functional.embedding(rows_N, table.flatten(1)).unflatten(-1, table.shape[1:])


class Reading:
    """The sequences of one behavior, as the samples of a batch read them, round after round.

    Args:
        recurrence: what reads them.
        vectors_BMD: the items of each user's sequence.
        ends_BL: how many slots of a user's sequence are before the end of each step.
        rows_N: the row of each sample's user.
        steps_N: the step after which a sample is.
    """

    def __init__(
        self,
        recurrence: ContextRecurrence,
        vectors_BMD: Tensor,
        ends_BL: Tensor,
        rows_N: Tensor,
        steps_N: Tensor,
    ) -> None:
        self.recurrence = recurrence
        self.rows_N = rows_N

        # Each user's whole sequence, and each sample's part of it.
        num_slots = vectors_BMD.shape[1]
        self.shared = Packing.of(ends_BL[:, -1], num_slots)
        self.own = Packing.of(ends_BL[rows_N, steps_N], num_slots)
        vectors_PD = vectors_BMD[self.shared.sequences_P, self.shared.slots_P]
        self.inputs_PCY = recurrence.inputs(vectors_PD)

        # The user's cell of each sample's cell; cells that only round up may stand after all of them.
        shared_P = self.shared.cells(rows_N[self.own.sequences_P], self.own.slots_P)
        self.shared_P = shared_P.clamp_max(len(self.shared.slots_P) - 1)
        self.candidates: list[Tensor] = []  # candidates_CPX of each round

    def __call__(self, answers: list[Tensor]) -> Tensor:
        """Read the sequences once more.

        Args:
            answers: answers_NCX of every round so far.

        Returns:
            states_NCX of the samples.
        """
        last_N = self.own.lengths_S - 1
        if not answers:
            # Samples of a user read the same, and differ in where they stop.
            states_CPX, candidates_CPX = self.recurrence(self.inputs_PCY, None, self.shared.sizes)
            self.candidates = [candidates_CPX[:, self.shared_P]]
            cells_N = self.shared.cells(self.rows_N, last_N)
        else:
            contexts_CPX = self._contexts(answers)
            inputs_PCY = rows_of(self.inputs_PCY, self.shared_P)
            states_CPX, candidates_CPX = self.recurrence(inputs_PCY, contexts_CPX, self.own.sizes)
            self.candidates.append(candidates_CPX[:, :-1])
            samples_N = torch.arange(len(last_N), device=last_N.device)
            cells_N = self.own.cells(samples_N, last_N)
        return states_CPX.index_select(1, cells_N).transpose(0, 1)

    def _contexts(self, answers: list[Tensor]) -> Tensor:
        """Sum a cell's candidate times its sample's answer over all rounds, contexts_CPX."""
        terms = []
        for candidates_CPX, answers_NCX in zip(self.candidates, answers, strict=True):
            answers_PCX = rows_of(answers_NCX, self.own.sequences_P)
            terms.append(candidates_CPX * answers_PCX.transpose(0, 1))
        return torch.stack(terms).sum(dim=0)
