"""Attention at several scales of time, over a fixed number of slots (MBHT)."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from blade_tune.layers.attention import MultiHeadAttention
from blade_tune.layers.dropout import Dropout
from blade_tune.layers.identity import NearIdentity

Pooling = Literal["contiguous", "strided"]


@dataclass(frozen=True)
class Scales:
    """The scales at which a sequence is summarized."""

    num_slots: int  # L, a multiple of every width
    rank: int  # mixtures of all slots that low-rank attention looks at
    widths: tuple[int, ...]  # slots in a mean, for each coarser scale
    pooling: Pooling = "contiguous"  # means of neighbors, or of slots that stand L / width apart


class TimeMixer(nn.Linear):
    """A linear map along time: every new slot is a weighted sum of old ones, with the same weights in each feature."""

    def forward(self, states_BLD: Tensor) -> Tensor:
        """Mix slots, which are the last axis but one."""
        return self.weight @ states_BLD + self.bias[:, None]


class LowRankAttention(MultiHeadAttention):
    """Attention to a few learned mixtures of all slots instead of the slots themselves (Linformer)."""

    def __init__(self, size: int, num_heads: int, dropout: float, scales: Scales) -> None:
        super().__init__(size, num_heads, dropout)
        self.mix_keys = TimeMixer(scales.num_slots, scales.rank)
        self.mix_values = TimeMixer(scales.num_slots, scales.rank)

    def forward(self, queries_BLD: Tensor, keys_BLD: Tensor, real_BL: Tensor) -> Tensor:
        """Attend from all queries to mixtures of the keys at real slots, which are the values too."""
        (query_BHLX,) = self._heads(queries_BLD, self.query)
        key_BHLX, value_BHLX = self._heads(keys_BLD, self.key, self.value)

        # Mix the real slots.
        real_B1L1 = real_BL[:, None, :, None]
        key_BHLX = self.mix_keys(key_BHLX * real_B1L1)
        value_BHLX = self.mix_values(value_BHLX * real_B1L1)
        return self._attend(query_BHLX, key_BHLX, value_BHLX, open_mask(query_BHLX, key_BHLX))

    def near_identity(self) -> None:
        """Start by gathering the mean, which every mixture of slots then is."""
        super().near_identity()
        for mixer in (self.mix_keys, self.mix_values):
            nn.init.constant_(mixer.weight, 1.0 / mixer.in_features)


class MultiScaleAttention(NearIdentity):
    """Low-rank attention over slots and plain attention over means of slots, mixed along time into L slots again.

    Each scale is LN(x + attention(x)), and the mixture has no residual. The coarser scales share one attention.
    Padding is kept out of the keys and values of low-rank attention only; a mean of slots may hold padding.
    """

    def __init__(
        self, size: int, num_heads: int, dropout: float, eps: float, scales: Scales
    ) -> None:
        super().__init__()
        self.scales = scales
        self.fine = LowRankAttention(size, num_heads, dropout, scales)
        self.fine_norm = nn.LayerNorm(size, eps)
        self.coarse = MultiHeadAttention(size, num_heads, dropout)
        self.coarse_norm = nn.LayerNorm(size, eps)
        num_means = sum(scales.num_slots // width for width in scales.widths)
        self.mix = TimeMixer(scales.num_slots + num_means, scales.num_slots)
        self.dropout = Dropout(dropout)

    def forward(self, states_BLD: Tensor, real_BL: Tensor) -> Tensor:
        """Attend at each scale, then mix; `real_BL` marks the slots that hold an interaction."""
        # The finest scale.
        attended_BLD = self.fine(states_BLD, states_BLD, real_BL)
        scales = [self.fine_norm(states_BLD + self.dropout(attended_BLD))]

        # The coarser ones.
        for width in self.scales.widths:
            means_BXD = pool(states_BLD, width, self.scales.pooling)
            attended_BXD = self.coarse(means_BXD, means_BXD, open_mask(means_BXD, means_BXD))
            scales.append(self.coarse_norm(means_BXD + self.dropout(attended_BXD)))

        mixed_BLD: Tensor = self.mix(torch.cat(scales, dim=1))
        return mixed_BLD

    def near_identity(self) -> None:
        """Start by passing on the finest scale."""
        nn.init.eye_(self.mix.weight)


def pool(states_BLD: Tensor, width: int, pooling: Pooling) -> Tensor:
    """Take the mean of each `width` slots.

    Returns:
        means_BXD, where X is L / width.
    """
    if pooling == "contiguous":
        return states_BLD.unflatten(1, (-1, width)).mean(dim=2)
    return states_BLD.unflatten(1, (width, -1)).mean(dim=1)


def open_mask(queries: Tensor, keys: Tensor) -> Tensor:
    """Make a mask, to be added to scores, that hides no key; slots are the last axis but one of both arguments."""
    return queries.new_zeros(1, 1, queries.shape[-2], keys.shape[-2])
