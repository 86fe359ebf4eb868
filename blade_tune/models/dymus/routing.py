"""Dynamic routing between capsules (DyMuS): which part of each behavior's state bears on which trait of the next item.

Shapes beyond the legend in batch.py: N samples, I capsules that come in, C = D capsules that go out, X numbers of each.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from blade_tune.layers.dropout import Dropout

Read = Callable[[list[Tensor]], Tensor]


class Routing(nn.Module, ABC):
    """Routes the states of all behaviors to one state, whose product with an item's vector is the item's score.

    Every capsule that comes in votes for each that goes out, u = e W. With shares k = softmax over C of b, which start
    equal, v = a sum over I of k u. The length of v times w, plus a bias, is the state s. A round finds the item that s
    expects, p = softmax(s V^T) V, answers q = [p; v] W_q, and adds u . q to b.

    In the rounds only W_q learns, by what its answers do to b (and to what is read in the next round): u, p and v are
    constants there, as in the public code.

    Args:
        weight: W at the start.
        capsule_size: X.
        rounds: r, with the last one, which has no answer.
        weight_dropout: dropout rate on W.
    """

    def __init__(
        self, weight: Tensor, capsule_size: int, rounds: int, weight_dropout: float = 0.0
    ) -> None:
        super().__init__()
        C = self.num_capsules(weight)
        X = capsule_size
        self.rounds = rounds
        self.weight = nn.Parameter(weight)
        self.scale = nn.Parameter(torch.tensor(float(C)))  # a
        self.length_weight_C = nn.Parameter(torch.ones(C))  # w
        self.length_bias_C = nn.Parameter(torch.zeros(C))
        self.item_answer_CDX = nn.Parameter(0.1 * torch.randn(C, C, X))  # the part of W_q for p
        self.capsule_answer_CXX = nn.Parameter(0.1 * torch.randn(C, X, X))  # the part for v
        self.dropout = Dropout(weight_dropout)

    def forward(self, read: Read, vectors_VD: Tensor) -> Tensor:
        """Route the states of a batch of samples.

        Args:
            read: computes the states of behaviors, given the answers of all rounds so far.
            vectors_VD: the vectors of the items that may be expected.

        Returns:
            states_ND.
        """
        weight = self.dropout(self.weight)
        vectors_VD = vectors_VD.detach()
        shares: Tensor | None = None  # k
        answers: list[Tensor] = []  # q of each round
        logits_NIC: Tensor | float = 0.0  # b
        for _ in range(self.rounds - 1):
            # Find v and p, which are constants in a round.
            with torch.no_grad():
                states = read(answers)
                capsules_NCX = self.scale * self.weigh(states, weight, shares)
                expected_ND = expected(self.lengths(capsules_NCX), vectors_VD)

            # Answer with q, and add u . q to b.
            answer_NCX = self.answer(expected_ND, capsules_NCX)
            answers.append(answer_NCX)
            logits_NIC = logits_NIC + self.agree(states.detach(), weight.detach(), answer_NCX)
            shares = torch.softmax(logits_NIC, dim=-1)

        # The last round makes the state, and has no answer.
        capsules_NCX = self.scale * self.weigh(read(answers), weight, shares)
        return self.lengths(capsules_NCX)

    def lengths(self, capsules_NCX: Tensor) -> Tensor:
        """Compute s, one number for each capsule, lengths_NC."""
        lengths_NC = torch.linalg.vector_norm(capsules_NCX, dim=-1)
        return lengths_NC * self.length_weight_C + self.length_bias_C

    def answer(self, expected_ND: Tensor, capsules_NCX: Tensor) -> Tensor:
        """Compute q = [p; v] W_q, answers_NCX; the two parts of W_q are two parameters."""
        from_item_NCX = torch.einsum("nd,cdx->ncx", expected_ND, self.item_answer_CDX)
        from_capsule_NCX = torch.einsum("ncy,cyx->ncx", capsules_NCX, self.capsule_answer_CXX)
        return from_item_NCX + from_capsule_NCX

    @staticmethod
    @abstractmethod
    def num_capsules(weight: Tensor) -> int:
        """Return C, read off the shape of W."""

    @abstractmethod
    def weigh(self, states: Tensor, weight: Tensor, shares_NIC: Tensor | None) -> Tensor:
        """Sum the votes, weighed by their shares, over the capsules that come in.

        Args:
            states: e, in the shape that the subclass reads.
            weight: W.
            shares_NIC: k; None stands for equal shares.

        Returns:
            capsules_NCX.
        """

    @abstractmethod
    def agree(self, states: Tensor, weight: Tensor, answers_NCX: Tensor) -> Tensor:
        """Multiply each vote with the answer of the capsule that it is for.

        Args:
            states: e, in the shape that the subclass reads.
            weight: W.
            answers_NCX: q.

        Returns:
            logits_NIC, to be added to b.
        """


class StateRouting(Routing):
    """Routing of DyMuS: the capsules that come in are the D entries of a state, with one number for each behavior."""

    def __init__(
        self,
        num_behaviors: int,
        size: int,
        capsule_size: int,
        rounds: int,
        weight_dropout: float = 0.0,
    ) -> None:
        weight_KICX = 0.01 * torch.rand(num_behaviors, size, size, capsule_size)
        super().__init__(weight_KICX, capsule_size, rounds, weight_dropout)

    @staticmethod
    def num_capsules(weight_KICX: Tensor) -> int:
        """Return C, read off the shape of W."""
        return weight_KICX.shape[2]

    def weigh(self, states_NKI: Tensor, weight_KICX: Tensor, shares_NIC: Tensor | None) -> Tensor:
        """Sum the votes; shares weigh the states, which are fewer than the votes."""
        if shares_NIC is None:
            # One product of all behaviors and entries, and of all capsules and their numbers.
            weight_ZX = weight_KICX.flatten(2).flatten(0, 1)
            equal_NX = states_NKI.flatten(1) @ weight_ZX
            return equal_NX.unflatten(1, weight_KICX.shape[2:]) / self.num_capsules(weight_KICX)
        weighed_CNKI = shares_NIC.permute(2, 0, 1)[:, :, None] * states_NKI
        weight_CZX = weight_KICX.permute(2, 0, 1, 3).flatten(1, 2)
        return torch.bmm(weighed_CNKI.flatten(2), weight_CZX).transpose(0, 1)

    def agree(self, states_NKI: Tensor, weight_KICX: Tensor, answers_NCX: Tensor) -> Tensor:
        """Multiply answers with W first and then with the states, so that no votes are made."""
        weight_CXZ = weight_KICX.permute(2, 3, 0, 1).flatten(2)
        asked_CNZ = torch.bmm(answers_NCX.transpose(0, 1), weight_CXZ)
        asked_CNKI = asked_CNZ.unflatten(2, weight_KICX.shape[:2])
        logits_CNI = (asked_CNKI * states_NKI).sum(dim=2)
        return logits_CNI.permute(1, 2, 0)


class CapsuleRouting(Routing):
    """Routing of DyMuS+: the capsules that come in are those of the behaviors' states, whose numbers stay apart."""

    def __init__(self, num_behaviors: int, size: int, capsule_size: int, rounds: int) -> None:
        weight_IXKC = 0.01 * torch.rand(size, capsule_size, num_behaviors, size)
        super().__init__(weight_IXKC, capsule_size, rounds)

    @staticmethod
    def num_capsules(weight_IXKC: Tensor) -> int:
        """Return C, read off the shape of W."""
        return weight_IXKC.shape[-1]

    def weigh(self, states_NKIX: Tensor, weight_IXKC: Tensor, shares_NIC: Tensor | None) -> Tensor:
        """Make the votes and sum them; with equal shares one product does both."""
        if shares_NIC is None:
            states_XNZ = states_NKIX.permute(3, 0, 2, 1).flatten(2)
            weight_XZC = weight_IXKC.transpose(0, 1).flatten(1, 2)
            equal_XNC = torch.bmm(states_XNZ, weight_XZC)
            return equal_XNC.permute(1, 2, 0) / self.num_capsules(weight_IXKC)
        votes_IXNC = self._votes(states_NKIX, weight_IXKC)
        return torch.einsum("ixnc,nic->ncx", votes_IXNC, shares_NIC)

    def agree(self, states_NKIX: Tensor, weight_IXKC: Tensor, answers_NCX: Tensor) -> Tensor:
        """Make the votes and multiply them with the answers."""
        votes_IXNC = self._votes(states_NKIX, weight_IXKC)
        return torch.einsum("ixnc,ncx->nic", votes_IXNC, answers_NCX)

    @staticmethod
    def _votes(states_NKIX: Tensor, weight_IXKC: Tensor) -> Tensor:
        states_IXNK = states_NKIX.permute(2, 3, 0, 1)
        return torch.matmul(states_IXNK, weight_IXKC)


def expected(states_ND: Tensor, vectors_VD: Tensor) -> Tensor:
    """Compute the vector of the item that a state expects, softmax(s V^T) V, by attention to all items."""
    queries_11ND = states_ND[None, None]
    keys_11VD = vectors_VD[None, None]
    expected_11ND = functional.scaled_dot_product_attention(
        queries_11ND, keys_11VD, keys_11VD, scale=1.0
    )
    return expected_11ND[0, 0]
