"""Attention over left-padded sequences: the mask rule, plain, behavior-aware and cross attention."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from blade_tune.kernels.dropped_attention import dropped_attention
from blade_tune.layers.identity import NearIdentity, blur, gather


def causal_mask(real_BL: Tensor, dtype: torch.dtype) -> Tensor:
    """Which step may look at which: earlier real steps, and always itself.

    The diagonal is on for padding too, so that no row is empty and no softmax is NaN.

    Returns:
        mask_B1LL, to be added to scores: 0 where step l (third axis) may attend to step m (fourth axis), else -inf.
    """
    L = real_BL.shape[1]
    lower_LL = torch.ones(L, L, dtype=torch.bool, device=real_BL.device).tril()
    diagonal_LL = torch.eye(L, dtype=torch.bool, device=real_BL.device)
    allow_BLL = (lower_LL & real_BL[:, None, :]) | diagonal_LL
    return torch.where(allow_BLL, 0.0, -torch.inf).to(dtype)[:, None]


def attend(query_BHLX: Tensor, key_BHLX: Tensor, value_BHLX: Tensor, mask_B1LL: Tensor, rate: float) -> Tensor:
    """softmax(q k^T / sqrt(width of v) + mask) v, weights dropped at `rate`; gives attended_BHLX."""
    scale = value_BHLX.shape[-1] ** -0.5
    if rate and query_BHLX.device.type == "cpu":  # where torch has no fused kernel with dropout
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
            queries_BLD: what asks.
            keys_BLD: what is asked.
            mask_B1LL: scores to add.
        """
        if queries_BLD is keys_BLD:
            query_BHLX, key_BHLX, value_BHLX = self._heads(queries_BLD, self.query, self.key, self.value)
        else:
            (query_BHLX,) = self._heads(queries_BLD, self.query)
            key_BHLX, value_BHLX = self._heads(keys_BLD, self.key, self.value)
        return self._attend(query_BHLX, key_BHLX, value_BHLX, mask_B1LL)

    def near_identity(self) -> None:
        """Gather the mean."""
        gather(self.value, self.output)
        blur(self.query, self.key)

    def _heads(self, states_BLD: Tensor, *projections: nn.Linear) -> tuple[Tensor, ...]:
        """Several projections as one product, each split into heads."""
        weight = torch.cat([projection.weight for projection in projections])
        bias = torch.cat([projection.bias for projection in projections])
        projected = functional.linear(states_BLD, weight, bias)
        projected_BLPHX = projected.unflatten(-1, (len(projections), self.num_heads, -1))
        return projected_BLPHX.permute(2, 0, 3, 1, 4).unbind(0)

    def _attend(self, query_BHLX: Tensor, key_BHLX: Tensor, value_BHLX: Tensor, mask_B1LL: Tensor) -> Tensor:
        rate = self.dropout if self.training else 0.0
        attended_BHLX = attend(query_BHLX, key_BHLX, value_BHLX, mask_B1LL, rate)
        return self.output(attended_BHLX.transpose(1, 2).flatten(2))


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
        """Attend among items, steered by the embeddings of their behavior sets."""
        query_BHLX, key_BHLX, value_BHLX = self._heads(states_BLD, self.query, self.key, self.value)
        behavior_query_BHLX, behavior_key_BHLX = self._heads(behaviors_BLD, self.behavior_query, self.behavior_key)
        query_BHLX = torch.cat((query_BHLX, behavior_query_BHLX), -1)
        key_BHLX = torch.cat((key_BHLX, behavior_key_BHLX), -1)
        return self._attend(query_BHLX, key_BHLX, value_BHLX, mask_B1LL)

    def near_identity(self) -> None:
        """Gather the mean, whatever the behaviors."""
        super().near_identity()
        blur(self.behavior_query, self.behavior_key)
