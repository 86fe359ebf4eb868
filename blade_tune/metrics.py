"""Ranking metrics with one relevant item a user, each declared once; importing them loads no torch.

A metric such as "ndcg@10" is the mean over users of their gains. What a user gains depends on the 0-based rank of the
relevant item alone, and is 0 from the cutoff on, which is 10 here.

All else is derived from `GAINS` and `CUTOFFS`: the names of metrics, the values that `objective.metric` of a study may
have, the figures of an evaluation, the columns of tables, and the best figures that made-up data allows. Ranks are
stored with every run, so that a metric which is added later has figures for earlier runs too.
"""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

GAINS: Mapping[str, Callable[[int], float]] = {  # name -> gain of a rank below the cutoff
    "ndcg": lambda rank: 1.0 / math.log2(rank + 2),  # discounted cumulative gain; the ideal one is 1
    "hr": lambda rank: 1.0,  # noqa: ARG005 - a hit is a hit
}
CUTOFFS = (5, 10, 20)
METRICS = tuple(f"{name}@{k}" for name in GAINS for k in CUTOFFS)
UNREACHABLE = 2**31 - 1  # the rank of a target that is not ranked: beyond every cutoff, however small the catalog
ROUNDING = 1e-6  # by which figures of the same ranks may differ that were summed on another machine


def by_cutoff(*cutoffs: int) -> tuple[str, ...]:
    """Return the metrics at these cutoffs in the order of papers' tables: ndcg@5, hr@5, ndcg@10, hr@10."""
    return tuple(f"{name}@{k}" for k in cutoffs for name in GAINS)


def gains_by_rank(metric: str) -> list[float]:
    """Return the gain of each rank below a metric's cutoff, from rank 0 on."""
    name, _, cutoff = metric.partition("@")
    return [GAINS[name](rank) for rank in range(int(cutoff))]


def gains(ranks: "Tensor", metric: str) -> "Tensor":
    """Return what each user adds to a metric, in float64; the mean over users is its value.

    Args:
        ranks: of the users' items, whole numbers of any type and shape.
        metric: its name, such as "ndcg@10".
    """
    import torch  # not with the module: settings need the names alone

    # The last entry stands for all ranks from the cutoff on.
    gain_R = torch.tensor([*gains_by_rank(metric), 0.0], dtype=torch.float64, device=ranks.device)
    return gain_R[ranks.long().clamp(max=len(gain_R) - 1)]


def summarize(ranks_B: "Tensor") -> dict[str, float]:
    """Return the mean of every metric over users, e.g. {"ndcg@5": 0.01, ..., "hr@20": 0.05}; empty ranks give 0."""
    count = max(len(ranks_B), 1)
    return {metric: _total(ranks_B, metric) / count for metric in METRICS}


def _total(ranks_B: "Tensor", metric: str) -> float:
    """Sum the gains of the hits alone: with the zeros between them the sum would be rounded in another way."""
    hits_N = ranks_B[ranks_B < len(gains_by_rank(metric))]
    return float(gains(hits_N, metric).sum())


def agree(ranks_B: "Tensor", facts: Mapping[str, Any]) -> bool:
    """Return whether the figures among some facts come from these ranks, but for rounding.

    Args:
        ranks_B: of all users.
        facts: figures by metric, all or some of them; what is under other names is not looked at.
    """
    summary = summarize(ranks_B)
    return all(abs(figure - facts[metric]) <= ROUNDING for metric, figure in summary.items() if metric in facts)
