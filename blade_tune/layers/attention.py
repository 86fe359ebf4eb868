"""Attention over left-padded sequences: the causal mask, multi-head attention, behavior-aware attention."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from blade_tune.kernels.dropped_attention import dropped_attention
from blade_tune.layers.identity import NearIdentity, blur, gather


def causal_mask(real_BL: Tensor, dtype: torch.dtype) -> Tensor:
    """Make the mask by which a step attends to earlier real steps and always to itself.

    Padding attends to itself too, so that no row is empty and no softmax is NaN.

    Args:
        real_BL: True where a step holds an interaction.
        dtype: of the scores that the mask is added to.

    Returns:
        mask_B1LL: 0 where step l (third axis) may attend to step m (fourth axis), else -inf.
    """
    L = real_BL.shape[1]
    lower_LL = torch.ones(L, L, dtype=torch.bool, device=real_BL.device).tril()
    diagonal_LL = torch.eye(L, dtype=torch.bool, device=real_BL.device)
    allow_BLL = (lower_LL & real_BL[:, None, :]) | diagonal_LL
    return torch.where(allow_BLL, 0.0, -torch.inf).to(dtype)[:, None]


def attend(
    query_BHLX: Tensor, key_BHLX: Tensor, value_BHLX: Tensor, mask_B1LL: Tensor, rate: float
) -> Tensor:
    """Compute dropout(softmax(q k^T / sqrt(d_v) + mask)) v for each head, where d_v is the width of a value.

    Args:
        query_BHLX: q.
        key_BHLX: k, as wide as q.
        value_BHLX: v, of any width.
        mask_B1LL: added to scores.
        rate: probability that an attention weight is dropped.

    Returns:
        attended_BHLX, as wide as v.
    """
    scale = value_BHLX.shape[-1] ** -0.5
    if rate and query_BHLX.device.type == "cpu":
        # Torch has no fused kernel with dropout on a CPU.
        return dropped_attention(query_BHLX * scale, key_BHLX, value_BHLX, mask_B1LL, rate)
    return functional.scaled_dot_product_attention(
        query_BHLX, key_BHLX, value_BHLX, attn_mask=mask_B1LL, dropout_p=rate, scale=scale
    )


class MultiHeadAttention(NearIdentity):
    """Scaled dot-product attention with an output projection; no residual, no norm.

    One head of full width is BLADE's cross-attention (Eq. 10).
    """

    def __init__(self, size: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.query = nn.Linear(size, size)
        self.key = nn.Linear(size, size)
        self.value = nn.Linear(size, size)
        self.output = nn.Linear(size, size)

    def forward(self, queries_BLD: Tensor, keys_BLD: Tensor, mask_B1LL: Tensor) -> Tensor:
        """Attend from queries to keys, which are the values too.

        Args:
            queries_BLD: the states that attend.
            keys_BLD: the states attended to; the same tensor as the queries in self-attention.
            mask_B1LL: added to scores.

        Returns:
            attended_BLD, as long as the queries.
        """
        if queries_BLD is keys_BLD:
            projections = (self.query, self.key, self.value)
            query_BHLX, key_BHLX, value_BHLX = self._heads(queries_BLD, *projections)
        else:
            (query_BHLX,) = self._heads(queries_BLD, self.query)
            key_BHLX, value_BHLX = self._heads(keys_BLD, self.key, self.value)
        return self._attend(query_BHLX, key_BHLX, value_BHLX, mask_B1LL)

    def near_identity(self) -> None:
        """Start by gathering the mean of the steps that it sees."""
        gather(self.value, self.output)
        blur(self.query, self.key)

    def _heads(self, states_BLD: Tensor, *projections: nn.Linear) -> tuple[Tensor, ...]:
        """Apply several projections as one product, and split each into heads, (B, H, L, X)."""
        weight = torch.cat([projection.weight for projection in projections])
        bias = torch.cat([projection.bias for projection in projections])
        projected_BLX = functional.linear(states_BLD, weight, bias)
        projected_BLPHX = projected_BLX.unflatten(-1, (len(projections), self.num_heads, -1))
        projected_PBHLX = projected_BLPHX.permute(2, 0, 3, 1, 4)
        return projected_PBHLX.unbind(0)

    def _attend(
        self, query_BHLX: Tensor, key_BHLX: Tensor, value_BHLX: Tensor, mask_B1LL: Tensor
    ) -> Tensor:
        rate = self.dropout if self.training else 0.0
        attended_BHLX = attend(query_BHLX, key_BHLX, value_BHLX, mask_B1LL, rate)
        attended_BLD = attended_BHLX.transpose(1, 2).flatten(2)
        return self.output(attended_BLD)


class BehaviorAwareAttention(MultiHeadAttention):
    """Behavior-aware self-attention (BLADE, Eq. 5 and 6): item scores plus behavior scores, over sqrt(d_h).

    The sum of two score matrices is one product of concatenated heads, so this is a single attention call with queries
    [Qx; Qb] and keys [Kx; Kb], scaled for the width of the values.

    Deviates: the mask acts before the softmax; after it, the denominator would leak the next item (Eq. 6 literally).
    """

    def __init__(self, size: int, num_heads: int, dropout: float) -> None:
        super().__init__(size, num_heads, dropout)
        self.behavior_query = nn.Linear(size, size)
        self.behavior_key = nn.Linear(size, size)

    def forward(self, states_BLD: Tensor, behaviors_BLD: Tensor, mask_B1LL: Tensor) -> Tensor:
        """Attend among items, steered by their behavior sets.

        Args:
            states_BLD: the states of items.
            behaviors_BLD: the embeddings of their behavior sets.
            mask_B1LL: added to scores.

        Returns:
            attended_BLD.
        """
        # Qx, Kx and V of items, Qb and Kb of behavior sets.
        query_BHLX, key_BHLX, value_BHLX = self._heads(states_BLD, self.query, self.key, self.value)
        behavior_query_BHLX, behavior_key_BHLX = self._heads(
            behaviors_BLD, self.behavior_query, self.behavior_key
        )

        # Qx Kx^T + Qb Kb^T = [Qx; Qb] [Kx; Kb]^T (Eq. 5).
        query_BHLX = torch.cat((query_BHLX, behavior_query_BHLX), -1)
        key_BHLX = torch.cat((key_BHLX, behavior_key_BHLX), -1)
        return self._attend(query_BHLX, key_BHLX, value_BHLX, mask_B1LL)

    def near_identity(self) -> None:
        """Start by gathering the mean, with hardly any influence of behaviors."""
        super().near_identity()
        blur(self.behavior_query, self.behavior_key)
