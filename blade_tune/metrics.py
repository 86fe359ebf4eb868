"""Ranking metrics with one relevant item a user."""

from collections.abc import Sequence

import torch
from torch import Tensor

from blade_tune.errors import NonFiniteError

CUTOFFS = (5, 10, 20)
METRICS = tuple(f"{name}@{k}" for name in ("ndcg", "hr") for k in CUTOFFS)
UNREACHABLE = 2**31 - 1  # the rank of a target that is not ranked: beyond every cutoff, however small the catalog


def ranks(scores_BV: Tensor, targets_B: Tensor, excluded_BV: Tensor) -> Tensor:
    """The place of each target among the items that may be recommended, from 0.

    Items with a higher score stand before it, and so do items with the same score and a smaller number.

    Args:
        scores_BV: column v is item v; column 0 is padding and never ranked.
        targets_B: the relevant item of each user, from 1.
        excluded_BV: True for items that must not be recommended. A target among them cannot be hit: it is UNREACHABLE.

    Raises:
        NonFiniteError: a score is NaN or infinite.
    """
    if not torch.isfinite(scores_BV).all():
        raise NonFiniteError("a score is NaN or infinite, so nothing can be ranked.")
    items_V = torch.arange(scores_BV.shape[1], device=scores_BV.device)
    target_scores_B1 = scores_BV.gather(1, targets_B[:, None])
    before_BV = (scores_BV > target_scores_B1) | ((scores_BV == target_scores_B1) & (items_V < targets_B[:, None]))
    before_BV &= ~excluded_BV & (items_V > 0)
    hopeless_B = excluded_BV.gather(1, targets_B[:, None])[:, 0]
    return torch.where(hopeless_B, UNREACHABLE, before_BV.sum(dim=1))


def summarize(ranks_B: Tensor, cutoffs: Sequence[int] = CUTOFFS) -> dict[str, float]:
    """Mean NDCG@k and HR@k over users, e.g. {"ndcg@5": 0.01, ..., "hr@20": 0.05}; empty ranks give 0."""
    ranks_B = ranks_B.double()
    gains_B = 1.0 / torch.log2(ranks_B + 2.0)
    count = max(len(ranks_B), 1)
    ndcg = {f"ndcg@{k}": float(gains_B[ranks_B < k].sum()) / count for k in cutoffs}
    hit_rate = {f"hr@{k}": float((ranks_B < k).sum()) / count for k in cutoffs}
    return ndcg | hit_rate
