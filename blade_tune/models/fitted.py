"""What models share that are fitted to all train rows at once, instead of being trained in epochs."""

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from blade_tune.batch import Batch
from blade_tune.catalog import Catalog, Ids, Interactions, has_target
from blade_tune.layers.sparse import Sized
from blade_tune.models.base import RecommenderModel
from blade_tune.models.settings.classical import EvidenceConfig

Weights = NDArray[np.float64]


class FittedRecommender(RecommenderModel, Sized):
    """A model that is fitted at once.

    What it must keep, beyond what every RecommenderModel keeps:

    - All that it learns is in buffers, which `state_dict` holds; it has no parameters. A state that is loaded into an
      unfitted model of the same settings makes it score as the fitted one, to the bit, whatever the sizes of buffers.
    - Two fits with one seed are equal to the bit. Another seed matters exactly if its Config says `is_seeded`.
    - Neither a fit nor scores write to what they read.
    - It fits any small data: one user, one item, more items than users, no row that counts.
    """

    @abstractmethod
    def fit(self, rows: Interactions, seed: int) -> None:
        """Learn from all train rows.

        Args:
            rows: under internal numbers, users and items from 1; the rows of each user are in order of time.
            seed: decides all that is drawn; without effect in a model whose Config is not `is_seeded`.

        Raises:
            ConfigError: the configuration does not go with data of this size.
        """

    @property
    def num_parameters(self) -> int:
        """How many numbers the buffers hold."""
        return sum(buffer.numel() for buffer in self.buffers())


class EvidenceRecommender(FittedRecommender):
    """A model for which a user is one weight for each item: that of the strongest evidence among the item's rows."""

    # A set counts by its rarest behavior, and by whether it has a target behavior at all.
    reads = "behavior_types"
    told_target_set = False

    def __init__(self, config: EvidenceConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        self.config = config

    def evidence(self, rows: Interactions, auxiliary_weight: float | None = None) -> Any:
        """Collect what each user's train rows say of each item, without regard to their age.

        Args:
            rows: the train rows.
            auxiliary_weight: weight of rows without a target behavior, instead of the configuration's.

        Returns:
            A CSR matrix (U, V + 1) of weights.
        """
        weights_N = self._weights(rows.sets_NK, auxiliary_weight)
        shape = (self.catalog.num_users, self.catalog.num_items + 1)
        return strongest(rows.users_N - 1, rows.items_N, weights_N, shape)

    def histories(self, batch: Batch) -> Any:
        """Collect what the windows say of each item: the older a step, the less it weighs.

        Returns:
            A CSR matrix (B, V + 1) of weights, float32.
        """
        # Find the real steps of all windows.
        batch = batch.newest(self.max_length)
        items_BL = batch.items_BL.cpu().numpy()
        rows_N, steps_N = items_BL.nonzero()
        items_N = items_BL[rows_N, steps_N]
        sets_NK = batch.sets_BLK.cpu().numpy()[rows_N, steps_N]

        # Weigh each by its behaviors and by its age.
        ages_N = items_BL.shape[1] - 1 - steps_N
        fading_N = 0.5 ** (ages_N / self.config.half_life)
        weights_N = self._weights(sets_NK) * fading_N
        shape = (len(items_BL), self.catalog.num_items + 1)
        return strongest(rows_N, items_N, weights_N, shape).astype(np.float32)

    def _weights(
        self, sets_NK: NDArray[np.uint8], auxiliary_weight: float | None = None
    ) -> Weights:
        if auxiliary_weight is None:
            auxiliary_weight = self.config.auxiliary_weight
        return row_weights(sets_NK, self.catalog, auxiliary_weight, self.config.rarity_weight)


def row_weights(
    sets_NK: NDArray[np.uint8], catalog: Catalog, auxiliary_weight: float, rarity_weight: float
) -> Weights:
    """Weigh each row by its behaviors (see EvidenceConfig).

    Args:
        sets_NK: the behavior sets of the rows.
        catalog: how frequent each behavior is.
        auxiliary_weight: weight of a row without a target behavior.
        rarity_weight: exponent of the rarity of behaviors.

    Returns:
        weights_N.
    """
    has_target_N = has_target(sets_NK, catalog.auxiliary)
    counts_K = np.maximum(catalog.behavior_counts_K, 1)
    rare_K = (counts_K.max() / counts_K) ** rarity_weight
    rarest_N = (sets_NK * rare_K).max(axis=1, initial=1.0)
    return np.where(has_target_N, 1.0, auxiliary_weight) * rarest_N


def strongest(rows_N: Ids, columns_N: Ids, weights_N: Weights, shape: tuple[int, int]) -> Any:
    """Make the CSR matrix that has, at each place, the largest weight given for it; weights of 0 are left out."""
    # Number the places of the matrix, row after row, and sort the weights by them.
    kept_N = weights_N > 0
    keys_N = rows_N[kept_N].astype(np.int64) * shape[1] + columns_N[kept_N]
    order_N = np.argsort(keys_N, kind="stable")
    keys_N = keys_N[order_N]
    weights_N = weights_N[kept_N][order_N]

    # Take the largest weight of each run of equal places.
    firsts_X = np.flatnonzero(np.diff(keys_N, prepend=-1))
    largest_X = np.maximum.reduceat(weights_N, firsts_X) if len(firsts_X) else weights_N

    # Index by int32, which scipy would choose for a large matrix but not for a small one.
    rows_X, columns_X = np.divmod(keys_N[firsts_X], shape[1])
    places = (rows_X.astype(np.int32), columns_X.astype(np.int32))
    return csr_array((largest_X, places), shape=shape)
