"""What models share that score an item by its similarity to each item of the history."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.catalog import Catalog, Interactions
from blade_tune.errors import ConfigError
from blade_tune.layers.sparse import Sparse
from blade_tune.models.fitted import EvidenceRecommender, Weights
from blade_tune.models.settings.classical import ItemToItemConfig

# Products of a block of history items, which a fit keeps in memory besides the matrices themselves
PRODUCTS_AT_ONCE = 2**24
MOST_NEIGHBORS = 2**29  # for all items together: 4 GiB of item numbers and similarities


class ItemToItem(EvidenceRecommender):
    """A model whose scores are x S, the weights of the history times similarities, of which each row keeps the largest.

    Equal similarities at the cut stay in the order of item numbers. An item is no neighbor of itself.
    """

    config: ItemToItemConfig

    def __init__(self, config: ItemToItemConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        self.similarity = Sparse(catalog.num_items + 1, catalog.num_items + 1)

    @abstractmethod
    def meetings(self, rows: Interactions) -> tuple[Iterator[Any], Weights, Weights]:
        """Compute how much pairs of items met, without regard to how often each was met at all.

        Args:
            rows: the train rows.

        Returns:
            c as CSR matrices of successive blocks of history items, the norms n_i of items in histories, and the norms
            n_j of items to come.
        """

    def fit(self, rows: Interactions, seed: int) -> None:  # noqa: ARG002 - nothing is drawn
        """Find the neighbors of all items, block by block."""
        num_items = self.catalog.num_items
        if self.config.neighbors * num_items > MOST_NEIGHBORS:
            raise ConfigError(
                f"neighbors must be at most {MOST_NEIGHBORS // num_items} for {num_items:,} items, "
                f"got {self.config.neighbors}."
            )
        blocks, norms_V, target_norms_V = self.meetings(rows)
        nearest = []
        first = 0  # the history item of the block's first row
        for block in blocks:
            num_rows = block.shape[0]
            items_N = first + np.repeat(np.arange(num_rows), np.diff(block.indptr))
            nearest.append(self._nearest(block, items_N, norms_V, target_norms_V))
            first += num_rows
        self.similarity.keep(vstack(nearest, format="csr"))

    def _nearest(
        self, block: Any, items_N: NDArray[np.int64], norms_V: Weights, target_norms_V: Weights
    ) -> Any:
        """Keep the largest similarities s of a block's rows, given its c, which is overwritten."""
        a = self.config.asymmetry
        own_N = norms_V[items_N] ** (2 - 2 * a)
        others_N = target_norms_V[block.indices] ** (2 * a)
        similarity_N = block.data / (own_N * others_N + self.config.shrinkage)
        block.data = np.where(items_N == block.indices, 0.0, similarity_N)
        return keep_largest(block, self.config.neighbors).astype(np.float32)

    def scores(self, batch: Batch) -> Tensor:
        """Compute x S, scores_BV in float32."""
        scores_BV = (self.histories(batch) @ self.similarity.matrix).toarray()
        return torch.from_numpy(scores_BV).float().to(batch.items_BL.device)


def blocks_of(products_V: NDArray[np.integer[Any]]) -> Iterator[slice]:
    """Split items into runs with at most PRODUCTS_AT_ONCE products each, unless one item alone has more."""
    totals_V = np.cumsum(products_V)
    first = 0
    while first < len(products_V):
        before = totals_V[first - 1] if first else 0
        fitting = int(np.searchsorted(totals_V, before + PRODUCTS_AT_ONCE, side="right"))
        end = max(first + 1, fitting)
        yield slice(first, end)
        first = end


def keep_largest(matrix: Any, count: int) -> Any:
    """Keep the `count` largest entries of each row of a CSR matrix, and of equal ones those in lower columns.

    The given matrix is overwritten.
    """
    matrix.sort_indices()
    values_N, starts = matrix.data, matrix.indptr
    for row in np.flatnonzero(np.diff(starts) > count):
        # The values of the row are a view, so that what is set below is set in the matrix.
        values_X = values_N[starts[row] : starts[row + 1]]
        smallest = np.partition(values_X, -count)[-count]
        num_larger = int((values_X > smallest).sum())
        ties_X = np.flatnonzero(values_X == smallest)
        values_X[values_X < smallest] = 0.0
        values_X[ties_X[count - num_larger :]] = 0.0
    matrix.eliminate_zeros()
    return csr_array(matrix)
