"""Attention over left-padded sequences: the mask rule, plain, behavior-aware and cross attention."""

import torch
from torch import Tensor, nn
from torch.nn import functional


def causal_mask(real_BL: Tensor) -> Tensor:
    """Which step may look at which: earlier real steps, and always itself.

    The diagonal is on for padding too, so that no row is empty and no softmax is NaN.

    Returns:
        allow_B1LL, True where step l (third axis) may attend to step m (fourth axis).
    """
    L = real_BL.shape[1]
    lower_LL = torch.ones(L, L, dtype=torch.bool, device=real_BL.device).tril()
    diagonal_LL = torch.eye(L, dtype=torch.bool, device=real_BL.device)
    return ((lower_LL & real_BL[:, None, :]) | diagonal_LL)[:, None]


class MultiHeadAttention(nn.Module):
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

    def forward(self, queries_BLD: Tensor, keys_BLD: Tensor, mask: Tensor) -> Tensor:
        """Attend from queries to keys, which are the values too.

        Args:
            queries_BLD: what asks.
            keys_BLD: what is asked.
            mask: allow_B1LL (bool), or scores to add, of the same shape.
        """
        return self._attend(self._heads(self.query(queries_BLD)), self._heads(self.key(keys_BLD)), keys_BLD, mask)

    def _heads(self, states_BLD: Tensor) -> Tensor:
        return states_BLD.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def _attend(self, query_BHLX: Tensor, key_BHLX: Tensor, values_BLD: Tensor, mask: Tensor) -> Tensor:
        value_BHLX = self._heads(self.value(values_BLD))
        attended_BHLX = functional.scaled_dot_product_attention(
            query_BHLX,
            key_BHLX,
            value_BHLX,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            scale=value_BHLX.shape[-1] ** -0.5,
        )
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

    def forward(self, states_BLD: Tensor, behaviors_BLD: Tensor, mask: Tensor) -> Tensor:
        """Attend among items, steered by the embeddings of their behavior sets."""
        query_BHLX = torch.cat(
            (self._heads(self.query(states_BLD)), self._heads(self.behavior_query(behaviors_BLD))), -1
        )
        key_BHLX = torch.cat((self._heads(self.key(states_BLD)), self._heads(self.behavior_key(behaviors_BLD))), -1)
        return self._attend(query_BHLX, key_BHLX, states_BLD, mask)
