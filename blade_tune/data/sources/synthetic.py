"""Source of synthetic data that follows a known law; by default, only behavior sets tell what comes next.

It needs no download, and since its law is known, so is the best result that any model can reach on it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from blade_tune.catalog import Interactions
from blade_tune.data import digest
from blade_tune.data.config import DataConfig
from blade_tune.data.oracle import best_reachable
from blade_tune.data.sources.base import Source
from blade_tune.data.split import Split, split_by_time
from blade_tune.data.synthetic_law import SyntheticConfig, clustered_items, led_to, rarity

AUXILIARY_PROB = 0.75
TARGET_PROB = 0.45  # of the first target behavior; each further one is rarer by this factor
USERS_AT_ONCE = 4096  # bounds memory
# Above any score, so that an item is met again only if its cluster has no other left
EXHAUSTED = 1e9


class Synthetic(Source):
    """Source of users who walk over clusters of items, led to the next one by the behavior set of an interaction."""

    Config: ClassVar[type[DataConfig]] = SyntheticConfig

    def __init__(self, config: SyntheticConfig, directory: Path | None = None) -> None:  # noqa: ARG002 - reads no file
        self._config = config

    def search_key(self) -> str:
        """Return a hash of the settings that the rows depend on."""
        return digest.key(**self._config.model_dump(mode="json", exclude={"name", "long_tail"}))

    def sealed_key(self) -> str:
        """Return the search key, for all parts are drawn together from one seed."""
        return self.search_key()

    def search(self) -> tuple[Interactions, Interactions]:
        """Return train and valid."""
        split = self._split()
        return split.train, split.valid

    def sealed(self) -> tuple[Interactions, Interactions]:
        """Return between and test."""
        split = self._split()
        return split.between, split.test

    def origin(self) -> Mapping[str, Any]:
        """Return the license of synthetic data and, unless sets are shuffled, the best that a model can reach."""
        best: dict[str, float] = {}
        if not self._config.shuffle_sets:
            split = self._split()
            best = best_reachable(self._config, split.train, split.valid)
        return {"license": "none: the data is made up", "best_reachable": {"valid": best}}

    def _split(self) -> Split:
        return split_by_time(generate(self._config), self._config.auxiliary_columns)


def generate(config: SyntheticConfig) -> Interactions:
    """Draw the interactions of all users, user after user, each in time order.

    After an interaction in cluster c whose rarest behavior is the r-th (0 is the auxiliary one), the next cluster is
    c + r modulo the number of clusters: the auxiliary behavior alone leads to more of the same, and no two behaviors
    lead from one cluster to the same next one. With probability `noise` it is a random cluster instead. A law that does
    `without`

    - sets has r = LEAD after every interaction;
    - order has the next cluster at r - c, so that what leads from one cluster to another leads back as well;
    - recency follows, instead of the last interaction, any earlier one of the user, each equally likely.
    """
    # Draw histories of the greatest length for all users; [seed, 0] assigns items to clusters
    random = np.random.default_rng([config.seed, 1])
    sets_ULK = _draw_sets(config, random)
    clusters_UL = _walk(config, sets_ULK, random)
    items_UL = _draw_items(config, clusters_UL, random)

    # Cut them to random lengths
    lengths_U = random.integers(config.min_length, config.max_length + 1, config.num_users)
    users_UL = np.arange(1, config.num_users + 1)[:, None].repeat(config.max_length, axis=1)
    real_UL = np.arange(config.max_length) < lengths_U[:, None]
    sets_NK = sets_ULK[real_UL]
    if config.shuffle_sets:
        sets_NK = random.permutation(sets_NK)
    return Interactions(users_UL[real_UL], items_UL[real_UL], sets_NK)


def _draw_sets(config: SyntheticConfig, random: np.random.Generator) -> NDArray[np.uint8]:
    """Draw sets_ULK: behaviors occur independently, and a set without any gets the auxiliary one."""
    rarity_K = rarity(config)
    prob_K = np.where(rarity_K == 0, AUXILIARY_PROB, TARGET_PROB**rarity_K)
    sets_ULK = random.random((config.num_users, config.max_length, len(prob_K))) < prob_K
    (auxiliary,) = config.auxiliary_columns
    sets_ULK[..., auxiliary] |= ~sets_ULK.any(axis=-1)
    return sets_ULK.astype(np.uint8)


def _walk(
    config: SyntheticConfig, sets_ULK: NDArray[np.uint8], random: np.random.Generator
) -> NDArray[np.int64]:
    """Draw clusters_UL: a random start, then the law or, by noise, a random cluster."""
    noisy_UL = random.random(sets_ULK.shape[:2]) < config.noise
    clusters_UL = random.integers(config.num_clusters, size=noisy_UL.shape)
    users_U = np.arange(config.num_users)
    for step in range(1, config.max_length):
        # The interaction that the next one follows from: the last, or without recency any earlier one
        followed_U = np.full(len(users_U), step - 1)
        if "recency" in config.without:
            followed_U = random.integers(step, size=len(users_U))
        next_U = led_to(config, clusters_UL[users_U, followed_U], sets_ULK[users_U, followed_U])
        clusters_UL[:, step] = np.where(noisy_UL[:, step], clusters_UL[:, step], next_U)
    return clusters_UL


def _draw_items(
    config: SyntheticConfig, clusters_UL: NDArray[np.int64], random: np.random.Generator
) -> NDArray[np.int64]:
    """Draw items_UL from the clusters, popular items more often, and none twice before its cluster is exhausted."""
    items_CS = clustered_items(config)
    size = items_CS.shape[1]
    log_popularity_S = -config.skew * np.log1p(np.arange(size))
    items_LU = np.zeros(clusters_UL.T.shape, np.int64)
    for step in range(config.max_length):
        for first in range(0, config.num_users, USERS_AT_ONCE):
            users = slice(first, first + USERS_AT_ONCE)
            candidates_US = items_CS[clusters_UL[users, step]]
            # The highest of log weights plus Gumbel noise is a draw by weight, here for all users at once.
            scores_US = log_popularity_S + random.gumbel(size=candidates_US.shape)

            # Items that a user has met come after all others
            is_met_US = np.zeros(scores_US.shape, bool)
            for met_U in items_LU[:step, users]:
                is_met_US |= candidates_US == met_U[:, None]
            scores_US -= EXHAUSTED * is_met_US
            rows_U, best_U = np.arange(len(scores_US)), scores_US.argmax(axis=1)
            items_LU[step, users] = candidates_US[rows_U, best_U]
    return items_LU.T
