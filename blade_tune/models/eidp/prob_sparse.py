"""Causal self-attention that may compute only its most telling queries (Informer's ProbSparse, as in EIDP)."""

import math

import torch
from torch import Tensor, nn

from blade_tune.layers.attention import MultiHeadAttention, attend, causal_mask
from blade_tune.layers.dropout import Dropout

MASKED = -1e5  # added to masked scores, as in the public code


class ProbSparseAttention(MultiHeadAttention):
    """LN(attention(LN(x), x) Wo), scores divided by sqrt(D) whatever the number of heads; no residual.

    Args:
        size: D.
        num_heads: H.
        dropout: rate of attention weights and of the output.
        eps: epsilon of the norms.
        sampling_factor: a; None computes every query. With a number, min(L, a ceil(ln L)) queries are computed: those
            whose scores on as many randomly drawn keys have a large maximum compared with their sum over L. The others
            take the running mean of the values. As in the public code, padding is then masked as a query only, not as a
            key.
    """

    def __init__(
        self, size: int, num_heads: int, dropout: float, eps: float, sampling_factor: int | None
    ) -> None:
        super().__init__(size, num_heads, dropout)
        self.sampling_factor = sampling_factor
        self.query_norm = nn.LayerNorm(size, eps)
        self.norm = nn.LayerNorm(size, eps)
        self.drop = Dropout(dropout)

    def forward(self, states_BLD: Tensor, real_BL: Tensor) -> Tensor:  # type: ignore[override]  # it makes its masks
        """Attend among the steps of a window.

        Args:
            states_BLD: x.
            real_BL: True where a step holds an interaction.
        """
        (query_BHLX,) = self._heads(self.query_norm(states_BLD), self.query)
        key_BHLX, value_BHLX = self._heads(states_BLD, self.key, self.value)
        if self.sampling_factor is None:
            # Attention divides by sqrt(D / H), so that this makes sqrt(D) of it.
            query_BHLX = query_BHLX * self.num_heads**-0.5
            mask_B1LL = causal_mask(real_BL, states_BLD.dtype)
            attended_BLD = self._attend(query_BHLX, key_BHLX, value_BHLX, mask_B1LL)
        else:
            attended_BHLX = self._attend_sparsely(query_BHLX, key_BHLX, value_BHLX, real_BL)
            attended_BLD = self.output(attended_BHLX.transpose(1, 2).flatten(2))
        return self.norm(self.drop(attended_BLD))

    def _attend_sparsely(
        self, query_BHLX: Tensor, key_BHLX: Tensor, value_BHLX: Tensor, real_BL: Tensor
    ) -> Tensor:
        assert self.sampling_factor is not None, "queries are chosen"  # noqa: S101 - for the type checker
        L = real_BL.shape[1]
        num_chosen = min(L, self.sampling_factor * math.ceil(math.log(L)) or 1)

        # Try every query on a few keys, and choose those whose scores vary most.
        drawn_LS = self.draw_keys(L, num_chosen).to(key_BHLX.device)
        sampled_BHLSX = key_BHLX[:, :, drawn_LS]
        scores_BHLS = torch.einsum("bhlx,bhlsx->bhls", query_BHLX, sampled_BHLSX)
        spread_BHL = scores_BHLS.amax(dim=-1) - scores_BHLS.sum(dim=-1) / L
        chosen_BHC = spread_BHL.topk(num_chosen, dim=-1).indices
        is_chosen_BHL = torch.zeros_like(spread_BHL, dtype=torch.bool)
        is_chosen_BHL.scatter_(2, chosen_BHC, True)

        # Attend. A query at padding is zero and has all keys masked, so that it weighs all of them the same.
        real_B1L1 = real_BL[:, None, :, None]
        lower_LL = torch.ones(L, L, dtype=torch.bool, device=real_BL.device).tril()
        allow_B1LL = lower_LL & real_B1L1
        mask_B1LL = torch.where(allow_B1LL, 0.0, MASKED).to(query_BHLX.dtype)
        rate = self.dropout if self.training else 0.0
        query_BHLX = query_BHLX * real_B1L1 * self.num_heads**-0.5
        attended_BHLX = attend(query_BHLX, key_BHLX, value_BHLX, mask_B1LL, rate)

        # Queries that were not chosen take the mean of the values so far.
        counts_B1L1 = real_BL.cumsum(dim=1)[:, None, :, None]
        means_BHLX = value_BHLX.cumsum(dim=2) / (counts_B1L1 + 1e-12)
        return torch.where(is_chosen_BHL[..., None], attended_BHLX, means_BHLX)

    def draw_keys(self, length: int, count: int) -> Tensor:
        """Draw the keys on which each query is tried, the same ones for all users and heads.

        Returns:
            places_LS: `count` places from 0 to `length` - 1 for each of `length` queries.
        """
        return torch.randint(length, (length, count))
