"""Highest expected metrics that any model can reach on synthetic data, computed from the known law of the data."""

import numpy as np
from numpy.typing import NDArray

from blade_tune.catalog import Interactions
from blade_tune.data.synthetic_law import SyntheticConfig, clustered_items, led_to
from blade_tune.metrics import CUTOFFS, METRICS, gains_by_rank

MAX_USERS = 5_000  # most users whose rankings are computed; of more, the first ones
CELLS = 2_000_000  # most cells of the table of users and items that is in memory at a time


def best_reachable(
    config: SyntheticConfig, train: Interactions, valid: Interactions
) -> dict[str, float]:
    """Return the expected value of each metric on valid rows, for the ranking by the true probability of each item.

    No ranking has a higher expected value, though a model may be lucky on the valid rows at hand. As in evaluation,
    items that a user has met are left out of the ranking, and so are valid rows whose item has no train row.

    Args:
        config: settings of the data; sets must not be shuffled, for then they follow no law.
        train: rows of each user in time order.
        valid: at most one row a user, the next one after those of train.

    Returns:
        Name of metric -> expected value, for all METRICS.
    """
    # The users whose valid row counts, for its item and the user have train rows
    known_V = np.zeros(config.num_items + 1, bool)
    known_V[train.items_N] = True
    counts_N = known_V[valid.items_N]
    users_U = np.intersect1d(valid.users_N[counts_N], train.users_N)[:MAX_USERS]

    # Train rows sorted by user, and where those of each user start and end
    order_N = np.argsort(train.users_N, kind="stable")
    users_U2 = np.stack((users_U, users_U + 1), axis=1)
    bounds_U2 = np.searchsorted(train.users_N[order_N], users_U2)

    # The probabilities of the first ranks, some users at a time
    at_once = max(1, CELLS // config.num_items)
    tops = []
    for first in range(0, len(users_U), at_once):
        bounds = bounds_U2[first : first + at_once]
        histories = [train.rows(order_N[start:end]) for start, end in bounds]
        prob_UV = next_item_probabilities(config, histories)
        # The probability that a user's valid row counts at all, given that its item must have a train row.
        kept_U1 = 1 - prob_UV[:, ~known_V].sum(axis=1, keepdims=True)
        descending_UV = -np.sort(-prob_UV[:, known_V] / kept_U1, axis=1)
        tops.append(descending_UV[:, : max(CUTOFFS)])
    mean_R = np.concatenate(tops).mean(axis=0)
    return {metric: _expected(mean_R, metric) for metric in METRICS}


def _expected(prob_R: NDArray[np.float64], metric: str) -> float:
    """Return a user's expected gain, given the probability of each rank; a small catalog has fewer ranks than gains."""
    gain_R = np.array(gains_by_rank(metric))[: len(prob_R)]
    return float((prob_R[: len(gain_R)] * gain_R).sum())


def next_item_probabilities(
    config: SyntheticConfig, histories: list[Interactions]
) -> NDArray[np.float64]:
    """Return the true probability of each item to be a user's next one.

    Args:
        config: settings of the data.
        histories: all rows so far of each user, in time order.

    Returns:
        prob_UV, with column 0 for padding. Items that the user has met have 0, and a row sums to less than 1 where a
        cluster is exhausted: only then is an item met again.
    """
    items_CS = clustered_items(config)
    cluster_V = np.zeros(config.num_items + 1, np.int64)
    cluster_V[items_CS] = np.arange(config.num_clusters)[:, None]
    weight_S = (1.0 + np.arange(items_CS.shape[1])) ** -config.skew
    prob_UV = np.zeros((len(histories), config.num_items + 1))
    for prob_V, history in zip(prob_UV, histories, strict=True):
        # The probability of each cluster: noise, and the law. The next cluster follows from the last interaction, or
        # without recency from any one, all equally likely.
        followed = slice(None) if "recency" in config.without else slice(-1, None)
        leads_N = led_to(config, cluster_V[history.items_N[followed]], history.sets_NK[followed])
        counts_C = np.bincount(leads_N, minlength=config.num_clusters)
        prob_C = np.full(config.num_clusters, config.noise / config.num_clusters)
        prob_C += (1 - config.noise) * counts_C / len(leads_N)

        # The probability of each item in its cluster, by its weight among those that the user has not met
        weight_CS = weight_S * ~np.isin(items_CS, history.items_N)
        total_C1 = weight_CS.sum(axis=1, keepdims=True)
        share_CS = np.divide(weight_CS, total_C1, where=total_C1 > 0, out=weight_CS * 0)
        prob_V[items_CS] = prob_C[:, None] * share_CS
    return prob_UV
