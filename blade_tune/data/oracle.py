"""The best that any model can reach on made-up data, whose law is known."""

import numpy as np
from numpy.typing import NDArray

from blade_tune.batch import Interactions
from blade_tune.data.synthetic_law import SyntheticConfig, clustered_items, led_to
from blade_tune.metrics import CUTOFFS, METRICS, gains_by_rank

MAX_USERS = 5_000  # whose rankings are computed; of more users the first ones
CELLS = 2_000_000  # of a table of users and items that is in memory at a time


def best_reachable(config: SyntheticConfig, train: Interactions, valid: Interactions) -> dict[str, float]:
    """Expected figure of each metric on valid rows of the ranking by the true probability of each item.

    Met items are left out of the ranking, and valid rows whose item has no train row are left out, as in evaluation. No
    ranking has a higher expectation; on the valid rows at hand a model may be lucky.

    Args:
        config: of the data; without shuffled sets, for no law is left in those.
        train: rows of each user in order of time.
        valid: at most one row a user, the next one after those of train.
    """
    known_V = np.zeros(config.num_items + 1, bool)
    known_V[train.items_N] = True
    users_U = np.intersect1d(valid.users_N[known_V[valid.items_N]], train.users_N)[:MAX_USERS]
    order_N = np.argsort(train.users_N, kind="stable")
    bounds_U2 = np.searchsorted(train.users_N[order_N], np.stack((users_U, users_U + 1), axis=1))
    at_once = max(1, CELLS // config.num_items)
    tops = []
    for first in range(0, len(users_U), at_once):
        histories = [train.rows(order_N[start:end]) for start, end in bounds_U2[first : first + at_once]]
        prob_UV = next_item_probabilities(config, histories)
        kept_U1 = 1 - prob_UV[:, ~known_V].sum(axis=1, keepdims=True)  # rows whose item has no train row are left out
        tops.append(-np.sort(-prob_UV[:, known_V] / kept_U1, axis=1)[:, : max(CUTOFFS)])
    mean_R = np.concatenate(tops).mean(axis=0)
    return {metric: _expected(mean_R, metric) for metric in METRICS}


def _expected(prob_R: NDArray[np.float64], metric: str) -> float:
    """Return what a user is expected to add to a metric, by the probability of each rank; a small catalog has few."""
    gain_R = np.array(gains_by_rank(metric))[: len(prob_R)]
    return float((prob_R[: len(gain_R)] * gain_R).sum())


def next_item_probabilities(config: SyntheticConfig, histories: list[Interactions]) -> NDArray[np.float64]:
    """prob_UV of each item after each history, 0 for those met; what is missing to 1 lies on met items.

    An item is met again only where its cluster holds no other.
    """
    items_CS = clustered_items(config)
    cluster_V = np.zeros(config.num_items + 1, np.int64)
    cluster_V[items_CS] = np.arange(config.num_clusters)[:, None]
    weight_S = (1.0 + np.arange(items_CS.shape[1])) ** -config.skew
    prob_UV = np.zeros((len(histories), config.num_items + 1))
    for prob_V, history in zip(prob_UV, histories, strict=True):
        followed = slice(None) if "recency" in config.without else slice(-1, None)
        leads_N = led_to(config, cluster_V[history.items_N[followed]], history.sets_NK[followed])
        prob_C = np.full(config.num_clusters, config.noise / config.num_clusters)
        prob_C += (1 - config.noise) * np.bincount(leads_N, minlength=config.num_clusters) / len(leads_N)
        weight_CS = weight_S * ~np.isin(items_CS, history.items_N)
        total_C1 = weight_CS.sum(axis=1, keepdims=True)
        prob_V[items_CS] = prob_C[:, None] * np.divide(weight_CS, total_C1, where=total_C1 > 0, out=weight_CS * 0)
    return prob_UV
