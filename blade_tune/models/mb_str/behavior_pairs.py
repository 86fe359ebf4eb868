"""Attention whose weights depend on the behaviors of both steps (MB-STR): K behaviors make K^2 classes of pairs."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from blade_tune.layers.dropout import Dropout
from blade_tune.layers.identity import FAINT, GAIN, NearIdentity
from blade_tune.models.mb_str.by_behavior import ByLabel, by_label
from blade_tune.models.mb_str.relative_position import NUM_BUCKETS


@dataclass(frozen=True)
class BehaviorPairs:
    """What every block asks of the labels and places of steps."""

    labels: ByLabel
    has_label_BLK: Tensor  # of the states' type
    bias_places_BLL: Tensor  # of the class and the distance of each pair, in the table of one head
    mask_B1LL: Tensor  # scores to add


def behavior_pairs(
    labels_BL: Tensor, real_BL: Tensor, buckets_LL: Tensor, num_labels: int, dtype: torch.dtype
) -> BehaviorPairs:
    """Steps attend to real ones on both sides, and to themselves, so that no row is empty and no softmax is NaN.

    Args:
        labels_BL: 1 to K, 0 for none.
        real_BL: True where a step holds an interaction, hidden or not.
        buckets_LL: see relative_buckets.
        num_labels: K.
        dtype: of the states.
    """
    itself_LL = torch.eye(labels_BL.shape[1], dtype=torch.bool, device=labels_BL.device)
    allow_BLL = real_BL[:, None, :] | itself_LL
    classes_BLL = labels_BL[:, :, None] * (num_labels + 1) + labels_BL[:, None, :]
    return BehaviorPairs(
        by_label(labels_BL, num_labels),
        functional.one_hot(labels_BL, num_labels + 1)[..., 1:].to(dtype),
        classes_BLL * NUM_BUCKETS + buckets_LL,
        torch.where(allow_BLL, 0.0, -torch.inf).to(dtype)[:, None],
    )


class PairMatrices(nn.Module):
    """W[c] = sum_m softmax_m(a[c]) W_m: the matrix of each class of pairs is a mixture of K bases, head by head."""

    def __init__(self, num_labels: int, num_heads: int, width: int) -> None:
        super().__init__()
        self.bases_KHXX = nn.Parameter(torch.randn(num_labels, num_heads, width, width))
        self.logits_KKKH = nn.Parameter(torch.randn(num_labels, num_labels, num_labels, num_heads))

    def forward(self) -> Tensor:
        """matrices_KKHXX, of the label that asks (first axis) and the one that is asked (second axis)."""
        return torch.einsum("ijmh,mhxy->ijhxy", self.logits_KKKH.softmax(dim=2), self.bases_KHXX)


class BehaviorPairAttention(NearIdentity):
    """out_i = sum_j p_ij v_j U[b_i, b_j], p_ij = softmax_j(q_i W[b_i, b_j] k_j / sqrt(d_h) + bias[b_i, b_j](j - i)).

    Queries, keys and values are projected by the label of their step; there is no output projection.

    No matrix a pair is ever made: a step asks with one query for each of K labels, side by side, and a key stands in
    the place of its own label among zeros. A step's value is made for each of K labels that may ask, and from what a
    query gathers its own label's part is taken. So attention is over heads K times as wide, and nothing else. The
    matrices of pairs are multiplied into the projections beforehand.

    Args:
        size: D.
        num_heads: H.
        num_labels: K.
        dropout: rate of attention weights.
    """

    def __init__(self, size: int, num_heads: int, num_labels: int, dropout: float) -> None:
        super().__init__()
        width = size // num_heads
        self.query_KDHX, self.key_KDHX, self.value_KDHX = (
            nn.Parameter(torch.randn(num_labels, size, num_heads, width) * 0.02) for _ in range(3)
        )
        self.score_matrices = PairMatrices(num_labels, num_heads, width)
        self.value_matrices = PairMatrices(num_labels, num_heads, width)
        self.bias_HKKR = nn.Parameter(torch.randn(num_heads, num_labels, num_labels, NUM_BUCKETS))
        self.dropout = Dropout(dropout)

    def forward(self, states_BLD: Tensor, pairs: BehaviorPairs) -> Tensor:
        """Attend among all steps."""
        queries_BHLX, keys_BHLX, values_BHLX = self._project(states_BLD, pairs)
        scores_BHLL = queries_BHLX @ keys_BHLX.mT + self._bias(pairs) + pairs.mask_B1LL
        gathered_BHLX = self.dropout(scores_BHLL.softmax(dim=-1)) @ values_BHLX
        gathered_BLHKX = gathered_BHLX.transpose(1, 2).unflatten(-1, (pairs.has_label_BLK.shape[-1], -1))
        return (gathered_BLHKX * pairs.has_label_BLK[:, :, None, :, None]).sum(dim=3).flatten(2)

    def _project(self, states_BLD: Tensor, pairs: BehaviorPairs) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of K d_h numbers a head."""
        K, _, H, X = self.query_KDHX.shape
        query_KDF = torch.einsum("idhx,ijhxy->idhjy", self.query_KDHX * X**-0.5, self.score_matrices()).flatten(2)
        value_KDF = torch.einsum("jdhx,ijhxy->jdhiy", self.value_KDHX, self.value_matrices()).flatten(2)
        weight_KDF = torch.cat((query_KDF, self.key_KDHX.flatten(2), value_KDF), dim=-1)
        projected_BLF = pairs.labels.leave(pairs.labels.linear(pairs.labels.enter(states_BLD), weight_KDF))
        queries_BLF, keys_BLF, values_BLF = projected_BLF.split((H * K * X, H * X, H * K * X), dim=-1)
        keys_BLHKX = keys_BLF.unflatten(-1, (H, 1, X)) * pairs.has_label_BLK[:, :, None, :, None]
        heads = (queries_BLF.unflatten(-1, (H, K * X)), keys_BLHKX.flatten(3), values_BLF.unflatten(-1, (H, K * X)))
        queries_BHLX, keys_BHLX, values_BHLX = (head_BLHX.transpose(1, 2) for head_BLHX in heads)
        return queries_BHLX, keys_BHLX, values_BHLX

    def _bias(self, pairs: BehaviorPairs) -> Tensor:
        """bias_BHLL of the class and the distance of each pair; pairs with a step of no behavior have none."""
        table_HX = functional.pad(self.bias_HKKR, (0, 0, 1, 0, 1, 0)).flatten(1)
        places_HN = pairs.bias_places_BLL.flatten().expand(len(table_HX), -1)
        return table_HX.gather(1, places_HN).view(-1, *pairs.bias_places_BLL.shape).transpose(0, 1)

    def near_identity(self) -> None:
        """Gather the mean, whatever the pair; the matrices of all classes are one and the same."""
        K, D, H, X = self.value_KDHX.shape
        self.value_KDHX.copy_(GAIN * torch.eye(D).view(D, H, X).expand(K, -1, -1, -1))
        self.value_matrices.bases_KHXX.copy_(torch.eye(X).expand(K, H, -1, -1))
        self.query_KDHX.mul_(FAINT)
        self.bias_HKKR.mul_(FAINT)
