"""Popularity: the items that most users met, recommended to every user."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.catalog import Catalog, Ids, Interactions, has_target
from blade_tune.models.base import DotProduct
from blade_tune.models.fitted import FittedRecommender
from blade_tune.models.settings.classical import PopularityConfig


class Popularity(FittedRecommender, DotProduct):
    """Scores items by their places in an order of popularity, the same for all users or one for each told set.

    Places are whole numbers, equal for equal counts, so they are exact in float32.
    """

    Config = PopularityConfig
    sets: Tensor
    places: Tensor
    reads = "nothing"

    def __init__(self, config: PopularityConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        self.counts = config.counts
        self.told_target_set = config.counts == "target_set"
        self.register_buffer("sets", torch.empty(0, catalog.num_behaviors, dtype=torch.uint8))
        self.register_buffer("places", torch.zeros(catalog.num_items + 1, 1))

    def fit(self, rows: Interactions, seed: int) -> None:  # noqa: ARG002 - nothing is drawn
        """Count the rows of every item, and order items by their counts."""
        # Count the rows of each item, of all or of those with a target behavior.
        counted_N = rows.items_N
        if self.counts != "all":
            has_target_N = has_target(rows.sets_NK, self.catalog.auxiliary)
            counted_N = rows.items_N[has_target_N]
        counts_V = self._count(counted_N)

        # Count the rows of each item with each set; items of equal counts stand in the order of the counts above.
        sets_SK = np.empty((0, rows.sets_NK.shape[1]), np.uint8)  # those with an order of their own
        counts = []
        if self.counts == "target_set":
            sets_SK, codes_N = np.unique(rows.sets_NK, axis=0, return_inverse=True)
            for code in range(len(sets_SK)):
                with_set_V = self._count(rows.items_N[codes_N.ravel() == code])
                counts.append(with_set_V * (counts_V.max() + 1) + counts_V)
        counts.append(counts_V)  # the last order is that of all other sets

        # An item's place in an order is the number of smaller counts.
        places = [np.unique(order_V, return_inverse=True)[1] for order_V in counts]
        self.sets = torch.from_numpy(sets_SK)
        self.places = torch.from_numpy(np.stack(places, axis=1)).float()

    def _count(self, items_N: Ids) -> NDArray[np.int64]:
        return np.bincount(items_N, minlength=self.catalog.num_items + 1)

    def final_states(self, batch: Batch) -> Tensor:
        """Choose the order to rank by.

        Returns:
            states_BD, 1 at one order and 0 at others; the last order is that of all sets without one of their own.
        """
        same_BS = (batch.target_sets_BLK[:, -1:] == self.sets).all(dim=-1)
        is_other_B1 = ~same_BS.any(dim=1, keepdim=True)
        return torch.cat((same_BS, is_other_B1), dim=1).float()

    def item_vectors(self) -> Tensor:
        """Return the places of items in every order, vectors_VD."""
        return self.places
