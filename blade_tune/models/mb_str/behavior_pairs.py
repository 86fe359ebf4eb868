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
    # 1 where a step has the behavior type, in the floating type of states
    has_type_BLK: Tensor
    # Where the class and the distance of each pair stand in the bias table of a head
    bias_places_BLL: Tensor
    # Added to scores
    mask_B1LL: Tensor


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
    # Number the classes of pairs; type 0 makes classes of its own, which have no bias.
    num_types = num_behaviors + 1
    has_type_BLX = functional.one_hot(types_BL, num_types)
    classes_BLL = types_BL[:, :, None] * num_types + types_BL[:, None, :]

    itself_LL = torch.eye(types_BL.shape[1], dtype=torch.bool, device=types_BL.device)
    allow_BLL = real_BL[:, None, :] | itself_LL
    mask_BLL = torch.where(allow_BLL, 0.0, -torch.inf).to(dtype)
    return BehaviorPairs(
        by_behavior=by_behavior(types_BL, num_behaviors),
        has_type_BLK=has_type_BLX[..., 1:].to(dtype),
        bias_places_BLL=classes_BLL * NUM_BUCKETS + buckets_LL,
        mask_B1LL=mask_BLL[:, None],
    )


class PairMatrices(nn.Module):
    """The matrix of each class of pairs, a mixture of K bases: W[c] = sum_m softmax_m(a[c]) W_m, for each head."""

    def __init__(self, num_behaviors: int, num_heads: int, width: int) -> None:
        super().__init__()
        K, H, X = num_behaviors, num_heads, width
        self.bases_KHXX = nn.Parameter(torch.randn(K, H, X, X))
        self.logits_KKKH = nn.Parameter(torch.randn(K, K, K, H))

    def forward(self) -> Tensor:
        """Mix the bases.

        Returns:
            matrices_KKHXX, by the type of the step that attends (first axis) and of the one attended to (second axis).
        """
        shares_KKKH = self.logits_KKKH.softmax(dim=2)
        return torch.einsum("ijmh,mhxy->ijhxy", shares_KKKH, self.bases_KHXX)


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
        K, D, H = num_behaviors, size, num_heads
        X = D // H
        self.query_KDHX = nn.Parameter(torch.randn(K, D, H, X) * 0.02)
        self.key_KDHX = nn.Parameter(torch.randn(K, D, H, X) * 0.02)
        self.value_KDHX = nn.Parameter(torch.randn(K, D, H, X) * 0.02)
        self.score_matrices = PairMatrices(K, H, X)
        self.value_matrices = PairMatrices(K, H, X)
        self.bias_HKKR = nn.Parameter(torch.randn(H, K, K, NUM_BUCKETS))
        self.dropout = Dropout(dropout)

    def forward(self, states_BLD: Tensor, pairs: BehaviorPairs) -> Tensor:
        """Attend among all steps; returns attended_BLD."""
        queries_BHLX, keys_BHLX, values_BHLX = self._project(states_BLD, pairs)
        scores_BHLL = queries_BHLX @ keys_BHLX.mT + self._bias(pairs) + pairs.mask_B1LL
        weights_BHLL = self.dropout(scores_BHLL.softmax(dim=-1))
        gathered_BHLX = weights_BHLL @ values_BHLX

        # Of the values for all K types, take those for the type of the step that attends.
        K = pairs.has_type_BLK.shape[-1]
        gathered_BLHKX = gathered_BHLX.transpose(1, 2).unflatten(-1, (K, -1))
        has_type_BL1K1 = pairs.has_type_BLK[:, :, None, :, None]
        return (gathered_BLHKX * has_type_BL1K1).sum(dim=3).flatten(2)

    def _project(self, states_BLD: Tensor, pairs: BehaviorPairs) -> tuple[Tensor, Tensor, Tensor]:
        """Project states to queries, keys and values of K d_h numbers for each head."""
        # Multiply the matrices of pairs into the projections of queries and values.
        K, _, H, X = self.query_KDHX.shape
        scaled_KDHX = self.query_KDHX * X**-0.5
        query_KDHKX = torch.einsum("idhx,ijhxy->idhjy", scaled_KDHX, self.score_matrices())
        value_KDHKX = torch.einsum("jdhx,ijhxy->jdhiy", self.value_KDHX, self.value_matrices())

        # Apply all three projections as one map of each type.
        projections = (query_KDHKX, self.key_KDHX, value_KDHKX)
        weight_KDF = torch.cat([each.flatten(2) for each in projections], dim=-1)
        rows_ND = pairs.by_behavior.enter(states_BLD)
        rows_NF = pairs.by_behavior.linear(rows_ND, weight_KDF)
        projected_BLF = pairs.by_behavior.leave(rows_NF)

        # Split them again, and put each key in the place of its type.
        sizes = (H * K * X, H * X, H * K * X)
        queries_BLF, keys_BLF, values_BLF = projected_BLF.split(sizes, dim=-1)
        queries_BLHX = queries_BLF.unflatten(-1, (H, K * X))
        values_BLHX = values_BLF.unflatten(-1, (H, K * X))
        keys_BLH1X = keys_BLF.unflatten(-1, (H, 1, X))
        keys_BLHKX = keys_BLH1X * pairs.has_type_BLK[:, :, None, :, None]
        keys_BLHX = keys_BLHKX.flatten(3)
        return queries_BLHX.transpose(1, 2), keys_BLHX.transpose(1, 2), values_BLHX.transpose(1, 2)

    def _bias(self, pairs: BehaviorPairs) -> Tensor:
        """Look up the bias of each pair by its class and distance, bias_BHLL; 0 where a step has no behavior."""
        table_HX = functional.pad(self.bias_HKKR, (0, 0, 1, 0, 1, 0)).flatten(1)
        places_HN = pairs.bias_places_BLL.flatten().expand(len(table_HX), -1)
        bias_HN = table_HX.gather(1, places_HN)
        bias_HBLL = bias_HN.view(-1, *pairs.bias_places_BLL.shape)
        return bias_HBLL.transpose(0, 1)

    def near_identity(self) -> None:
        """Start by gathering the mean for every pair; the matrices of all classes start equal."""
        K, D, H, X = self.value_KDHX.shape
        identity_DHX = torch.eye(D).view(D, H, X)
        self.value_KDHX.copy_(GAIN * identity_DHX.expand(K, -1, -1, -1))
        self.value_matrices.bases_KHXX.copy_(torch.eye(X).expand(K, H, -1, -1))
        self.query_KDHX.mul_(FAINT)
        self.bias_HKKR.mul_(FAINT)
