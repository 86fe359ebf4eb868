"""Attention whose weights depend on the behavior types of both steps (MB-STR): K types make K^2 classes of pairs."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from blade_tune.layers.dropout import Dropout
from blade_tune.layers.identity import FAINT, GAIN, NearIdentity
from blade_tune.models.mb_str.by_behavior import ByBehavior, by_behavior
from blade_tune.models.mb_str.relative_position import NUM_BUCKETS


@dataclass(frozen=True)
class BehaviorPairs:
    """What every block needs to know of the behavior types and places of steps."""

    by_behavior: ByBehavior
    has_type_BLK: Tensor  # 1 where a step has the behavior type, in the floating type of states
    bias_places_BLL: (
        Tensor  # where the class and the distance of each pair stand in the bias table of a head
    )
    mask_B1LL: Tensor  # added to scores


def behavior_pairs(
    types_BL: Tensor, real_BL: Tensor, buckets_LL: Tensor, num_behaviors: int, dtype: torch.dtype
) -> BehaviorPairs:
    """Collect what every block needs to know of the pairs of steps.

    Steps attend to real ones on both sides, and to themselves, so that no row is empty and no softmax is NaN.

    Args:
        types_BL: behavior types, 1 to K, 0 for none.
        real_BL: True where a step holds an interaction, hidden or not.
        buckets_LL: classes of distances (see relative_buckets).
        num_behaviors: K.
        dtype: the floating type of states.
    """
    itself_LL = torch.eye(types_BL.shape[1], dtype=torch.bool, device=types_BL.device)
    allow_BLL = real_BL[:, None, :] | itself_LL
    classes_BLL = types_BL[:, :, None] * (num_behaviors + 1) + types_BL[:, None, :]
    return BehaviorPairs(
        by_behavior(types_BL, num_behaviors),
        functional.one_hot(types_BL, num_behaviors + 1)[..., 1:].to(dtype),
        classes_BLL * NUM_BUCKETS + buckets_LL,
        torch.where(allow_BLL, 0.0, -torch.inf).to(dtype)[:, None],
    )


class PairMatrices(nn.Module):
    """The matrix of each class of pairs, a mixture of K bases: W[c] = sum_m softmax_m(a[c]) W_m, for each head."""

    def __init__(self, num_behaviors: int, num_heads: int, width: int) -> None:
        super().__init__()
        self.bases_KHXX = nn.Parameter(torch.randn(num_behaviors, num_heads, width, width))
        self.logits_KKKH = nn.Parameter(
            torch.randn(num_behaviors, num_behaviors, num_behaviors, num_heads)
        )

    def forward(self) -> Tensor:
        """Mix the bases.

        Returns:
            matrices_KKHXX, by the type of the step that attends (first axis) and of the one attended to (second axis).
        """
        return torch.einsum("ijmh,mhxy->ijhxy", self.logits_KKKH.softmax(dim=2), self.bases_KHXX)


class BehaviorPairAttention(NearIdentity):
    """Attention in which the behavior types of both steps choose matrices and biases.

    out_i = sum_j p_ij v_j U[b_i, b_j], p_ij = softmax_j(q_i W[b_i, b_j] k_j / sqrt(d_h) + bias[b_i, b_j](j - i)).

    Queries, keys and values are projected by the type of their step, and there is no output projection.

    No matrix is made for a pair of steps. A step has one query for each of the K types, one after the other, and a key
    stands in the place of its own type among zeros. A value is made for each of K types that may attend to it, and of
    what a query gathers, the part of its own type is taken. So all there is is attention over heads K times as wide.
    The matrices of pairs are multiplied into the projections beforehand.

    Args:
        size: D.
        num_heads: H.
        num_behaviors: K.
        dropout: dropout rate of attention weights.
    """

    def __init__(self, size: int, num_heads: int, num_behaviors: int, dropout: float) -> None:
        super().__init__()
        width = size // num_heads
        self.query_KDHX, self.key_KDHX, self.value_KDHX = (
            nn.Parameter(torch.randn(num_behaviors, size, num_heads, width) * 0.02)
            for _ in range(3)
        )
        self.score_matrices = PairMatrices(num_behaviors, num_heads, width)
        self.value_matrices = PairMatrices(num_behaviors, num_heads, width)
        self.bias_HKKR = nn.Parameter(
            torch.randn(num_heads, num_behaviors, num_behaviors, NUM_BUCKETS)
        )
        self.dropout = Dropout(dropout)

    def forward(self, states_BLD: Tensor, pairs: BehaviorPairs) -> Tensor:
        """Attend among all steps; returns attended_BLD."""
        queries_BHLX, keys_BHLX, values_BHLX = self._project(states_BLD, pairs)
        scores_BHLL = queries_BHLX @ keys_BHLX.mT + self._bias(pairs) + pairs.mask_B1LL
        gathered_BHLX = self.dropout(scores_BHLL.softmax(dim=-1)) @ values_BHLX
        gathered_BLHKX = gathered_BHLX.transpose(1, 2).unflatten(
            -1, (pairs.has_type_BLK.shape[-1], -1)
        )
        return (gathered_BLHKX * pairs.has_type_BLK[:, :, None, :, None]).sum(dim=3).flatten(2)

    def _project(self, states_BLD: Tensor, pairs: BehaviorPairs) -> tuple[Tensor, Tensor, Tensor]:
        """Project states to queries, keys and values of K d_h numbers for each head."""
        K, _, H, X = self.query_KDHX.shape
        query_KDF = torch.einsum(
            "idhx,ijhxy->idhjy", self.query_KDHX * X**-0.5, self.score_matrices()
        ).flatten(2)
        value_KDF = torch.einsum(
            "jdhx,ijhxy->jdhiy", self.value_KDHX, self.value_matrices()
        ).flatten(2)
        weight_KDF = torch.cat((query_KDF, self.key_KDHX.flatten(2), value_KDF), dim=-1)
        rows_NF = pairs.by_behavior.linear(pairs.by_behavior.enter(states_BLD), weight_KDF)
        projected_BLF = pairs.by_behavior.leave(rows_NF)
        queries_BLF, keys_BLF, values_BLF = projected_BLF.split(
            (H * K * X, H * X, H * K * X), dim=-1
        )
        keys_BLHKX = keys_BLF.unflatten(-1, (H, 1, X)) * pairs.has_type_BLK[:, :, None, :, None]
        heads = (
            queries_BLF.unflatten(-1, (H, K * X)),
            keys_BLHKX.flatten(3),
            values_BLF.unflatten(-1, (H, K * X)),
        )
        queries_BHLX, keys_BHLX, values_BHLX = (head_BLHX.transpose(1, 2) for head_BLHX in heads)
        return queries_BHLX, keys_BHLX, values_BHLX

    def _bias(self, pairs: BehaviorPairs) -> Tensor:
        """Look up the bias of each pair by its class and distance, bias_BHLL; 0 where a step has no behavior."""
        table_HX = functional.pad(self.bias_HKKR, (0, 0, 1, 0, 1, 0)).flatten(1)
        places_HN = pairs.bias_places_BLL.flatten().expand(len(table_HX), -1)
        return table_HX.gather(1, places_HN).view(-1, *pairs.bias_places_BLL.shape).transpose(0, 1)

    def near_identity(self) -> None:
        """Start by gathering the mean for every pair; the matrices of all classes start equal."""
        K, D, H, X = self.value_KDHX.shape
        self.value_KDHX.copy_(GAIN * torch.eye(D).view(D, H, X).expand(K, -1, -1, -1))
        self.value_matrices.bases_KHXX.copy_(torch.eye(X).expand(K, H, -1, -1))
        self.query_KDHX.mul_(FAINT)
        self.bias_HKKR.mul_(FAINT)
