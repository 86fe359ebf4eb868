"""Ranking metrics with one relevant item a user."""

from collections.abc import Sequence

import torch
from torch import Tensor

CUTOFFS = (5, 10, 20)
METRICS = tuple(f"{name}@{k}" for name in ("ndcg", "hr") for k in CUTOFFS)
UNREACHABLE = 2**31 - 1  # the rank of a target that is not ranked: beyond every cutoff, however small the catalog


def gains(ranks_B: Tensor, metric: str) -> Tensor:
    """What each user adds to a metric such as "ndcg@10", in float64; the mean over users is its value."""
    name, _, cutoff = metric.partition("@")
    is_hit_B = ranks_B < int(cutoff)
    if name == "hr":
        return is_hit_B.double()
    return torch.where(is_hit_B, 1.0 / torch.log2(ranks_B.double() + 2.0), 0.0)


def summarize(ranks_B: Tensor, cutoffs: Sequence[int] = CUTOFFS) -> dict[str, float]:
    """Mean NDCG@k and HR@k over users, e.g. {"ndcg@5": 0.01, ..., "hr@20": 0.05}; empty ranks give 0."""
    ranks_B = ranks_B.double()
    gains_B = 1.0 / torch.log2(ranks_B + 2.0)
    count = max(len(ranks_B), 1)
    ndcg = {f"ndcg@{k}": float(gains_B[ranks_B < k].sum()) / count for k in cutoffs}
    hit_rate = {f"hr@{k}": float((ranks_B < k).sum()) / count for k in cutoffs}
    return ndcg | hit_rate
