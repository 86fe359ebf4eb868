"""Popularity: the items that most users met, recommended to every user."""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from blade_tune.batch import Batch, Catalog, Ids, Interactions
from blade_tune.models.base import DotProduct
from blade_tune.models.config import ModelConfig
from blade_tune.models.fitted import FittedRecommender


class PopularityConfig(ModelConfig):
    """The one hyperparameter of a model that knows no user."""

    counts: Literal["all", "target", "target_set"] = Field(
        "target",
        description="which train rows of an item count: all, those with a target behavior, or those with the very "
        "behavior set of the item to predict, equal counts in the order of target",
    )


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
        has_target_N = np.delete(rows.sets_NK, self.catalog.auxiliary, axis=1).any(axis=1)
        counts_V = self._count(rows.items_N if self.counts == "all" else rows.items_N[has_target_N])
        counts_SV, sets_SK = counts_V[None], np.empty((0, rows.sets_NK.shape[1]), np.uint8)
        if self.counts == "target_set":
            sets_SK, codes_N = np.unique(rows.sets_NK, axis=0, return_inverse=True)
            by_set_SV = np.stack(
                [self._count(rows.items_N[codes_N.ravel() == code]) for code in range(len(sets_SK))]
            )
            counts_SV = np.vstack((by_set_SV * (counts_V.max() + 1) + counts_V, counts_V))
        self.sets = torch.from_numpy(sets_SK)  # with an order of their own
        places_VS = [np.unique(counts_V, return_inverse=True)[1] for counts_V in counts_SV]
        # The last column is that of all other sets
        self.places = torch.from_numpy(np.stack(places_VS, axis=1)).float()

    def _count(self, items_N: Ids) -> NDArray[np.int64]:
        return np.bincount(items_N, minlength=self.catalog.num_items + 1)

    def final_states(self, batch: Batch) -> Tensor:
        """Choose the order to rank by.

        Returns:
            states_BD, 1 at one order and 0 at others; the last order is that of all sets without one of their own.
        """
        same_BS = (batch.target_sets_BLK[:, -1:] == self.sets).all(dim=-1)
        return torch.cat((same_BS, ~same_BS.any(dim=1, keepdim=True)), dim=1).float()

    def item_vectors(self) -> Tensor:
        """Return the places of items in every order, vectors_VD."""
        return self.places
