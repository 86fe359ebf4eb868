"""Gains of rankings in NDCG@10, user by user."""

from collections.abc import Iterable
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray

from blade_tune.metrics import gains, gains_by_rank
from blade_tune.training.ranking import rank_of
from blade_tune.xray.task import Task

METRIC = "ndcg@10"


def gains_of(
    task: Task, scores: Iterable[NDArray[np.float32]], *, may_repeat: bool = False
) -> NDArray[np.float64]:
    """Return gains_U of the ranking of all items by scores; equal scores are ordered by number, as in evaluation.

    Args:
        task: the users and the items to find.
        scores: scores_BV of successive users of the task; the iterator is used up.
        may_repeat: whether met items are ranked like any other.
    """
    ranks = []
    nothing = np.empty(0, np.int64)
    scores_of_users = chain.from_iterable(scores)
    for user, scores_V in enumerate(scores_of_users):
        excluded_X = nothing if may_repeat else task.met(user)
        ranks.append(rank_of(scores_V, int(task.items_U[user]), excluded_X))
    return gains(torch.tensor(ranks, dtype=torch.int64), METRIC).numpy()


def chance_gains(task: Task) -> NDArray[np.float64]:
    """Return the expected gains_U of a random order of all ranked items."""
    # Count the ranked items of each user.
    num_met = [len(np.unique(task.met(user))) for user in range(len(task))]
    num_ranked_U = np.maximum(task.num_items - np.array(num_met, np.int64), 1)

    # The target has each of these ranks with the same probability.
    gain_R = gains_by_rank(METRIC)
    sums_R = np.concatenate(([0.0], np.cumsum(gain_R)))  # at r, the sum over all ranks below r
    sums_U = sums_R[np.minimum(num_ranked_U, len(gain_R))]
    return np.where(task.is_met_U, 0.0, sums_U / num_ranked_U)
