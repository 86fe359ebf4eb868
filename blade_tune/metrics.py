"""Ranking metrics for one relevant item per user, each declared in one place.

A metric such as "ndcg@10" is the mean over users of their gains. What a user gains depends on the 0-based rank of the
relevant item alone, and is 0 from the cutoff on, which is 10 here.

Everything else is derived from `GAINS` and `CUTOFFS`: the names of metrics, the values that `objective.metric` of a
study may have, the figures of an evaluation, the columns of tables, and the best figures that synthetic data allows.
Ranks are stored with every run, so a metric that is added later has figures for earlier runs too.

Ranks are tensors where a model is evaluated, and arrays where they are read from files, which loads no torch. Sums of
the two may differ in their last bit.
"""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Ranks = NDArray[np.integer[Any]] | Tensor

# The name of a metric -> the gain of a rank below the cutoff
GAINS: Mapping[str, Callable[[int], float]] = {
    "ndcg": lambda rank: 1.0 / math.log2(rank + 2),  # the ideal gain, which it is divided by, is 1
    "hr": lambda rank: 1.0,  # noqa: ARG005 - a hit is a hit
}
CUTOFFS = (5, 10, 20)
METRICS = tuple(f"{name}@{k}" for name in GAINS for k in CUTOFFS)

# The rank of a target that is not ranked: beyond every cutoff, however small the catalog
UNREACHABLE = 2**31 - 1
# How much figures of the same ranks may differ that were summed on another machine
ROUNDING = 1e-6


def by_cutoff(*cutoffs: int) -> tuple[str, ...]:
    """Return the names of the metrics at some cutoffs, in the order of papers' tables: ndcg@5, hr@5, ndcg@10, hr@10."""
    return tuple(f"{name}@{k}" for k in cutoffs for name in GAINS)


def gains_by_rank(metric: str) -> list[float]:
    """Return the gain of each rank below a metric's cutoff, from rank 0 on."""
    name, _, cutoff = metric.partition("@")
    return [GAINS[name](rank) for rank in range(int(cutoff))]


@overload
def gains(ranks: "NDArray[np.integer[Any]]", metric: str) -> "NDArray[np.float64]": ...


@overload
def gains(ranks: "Tensor", metric: str) -> "Tensor": ...


def gains(ranks: "Ranks", metric: str) -> "NDArray[np.float64] | Tensor":
    """Return the gain of each user; the mean over users is the value of the metric.

    Args:
        ranks: 0-based ranks of the users' relevant items, whole numbers of any type and shape.
        metric: name of the metric, such as "ndcg@10".

    Returns:
        Gains in float64, in the shape of `ranks`.
    """
    # The last entry stands for all ranks from the cutoff on.
    by_rank = [*gains_by_rank(metric), 0.0]
    last = len(by_rank) - 1
    import numpy as np  # not with the module: settings need the names alone

    if isinstance(ranks, np.ndarray):
        return np.array(by_rank)[np.minimum(ranks, last)]
    import torch

    gain_R = torch.tensor(by_rank, dtype=torch.float64, device=ranks.device)
    return gain_R[ranks.long().clamp(max=last)]


def summarize(ranks_B: "Ranks") -> dict[str, float]:
    """Return the mean of every metric over users, such as {"ndcg@5": 0.01, ..., "hr@20": 0.05}; 0 without users."""
    count = max(len(ranks_B), 1)
    return {metric: _total(ranks_B, metric) / count for metric in METRICS}


def _total(ranks_B: "Ranks", metric: str) -> float:
    """Sum the gains of the hits alone: with zeros between them, the sum would be rounded in another order."""
    hits_N = ranks_B[ranks_B < len(gains_by_rank(metric))]
    return float(gains(hits_N, metric).sum())


def agree(ranks_B: "Ranks", facts: Mapping[str, Any]) -> bool:
    """Return whether stored figures are those of the given ranks, within ROUNDING.

    Args:
        ranks_B: 0-based ranks of all users' relevant items.
        facts: figures by name of metric, all or some of them; entries under other names are ignored.
    """
    summary = summarize(ranks_B)
    stored = [metric for metric in METRICS if metric in facts]
    return all(abs(summary[metric] - facts[metric]) <= ROUNDING for metric in stored)
