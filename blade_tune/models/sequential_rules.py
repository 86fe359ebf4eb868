"""Sequential rules: what users met soon after (Ludewig and Jannach, UMUAI 2018, section 3.1)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from blade_tune.catalog import Interactions
from blade_tune.models.fitted import Weights
from blade_tune.models.item_to_item import ItemToItem, blocks_of
from blade_tune.models.settings.classical import SequentialRulesConfig


class SequentialRules(ItemToItem):
    """Rules i -> j that weigh the more, the more often and the sooner j came after i in a user's rows.

    c_ij sums decay^(distance - 1) over such pairs of rows, times the evidence of the row of i and that of the row of j
    as what is to come. Norms are the square roots of an item's summed evidence.

    Deviates: the weight of a distance is geometric; in the paper it is the reciprocal. Rules are normalized and shrunk
    like a cosine. `backward` counts pairs in the other order too. Every item of the history counts, not only the last.
    """

    Config = SequentialRulesConfig
    config: SequentialRulesConfig

    def meetings(self, rows: Interactions) -> tuple[Iterator[Any], Weights, Weights]:
        """Sum the weights of pairs of rows of one user (see ItemToItem.meetings)."""
        # Put the rows of each user together, and weigh them in both their parts.
        rows = rows.rows(np.argsort(rows.users_N, kind="stable"))
        evidence_N = self._weights(rows.sets_NK)
        targets_N = self._weights(rows.sets_NK, self.config.target_auxiliary_weight)

        # Sort the places of rows by item, so that those of a block of items are a slice.
        V = self.catalog.num_items + 1
        order_N = np.argsort(rows.items_N, kind="stable")
        counts_V = np.bincount(rows.items_N, minlength=V)
        ends_V = np.cumsum(counts_V)
        starts_V = ends_V - counts_V

        def blocks() -> Iterator[Any]:
            for block in blocks_of(counts_V * 2 * self.config.window):
                places_X = order_N[starts_V[block.start] : ends_V[block.stop - 1]]
                yield self._pairs(rows, places_X, block, evidence_N, targets_N)

        norms_V = np.sqrt(np.bincount(rows.items_N, weights=evidence_N, minlength=V))
        target_norms_V = np.sqrt(np.bincount(rows.items_N, weights=targets_N, minlength=V))
        return blocks(), norms_V, target_norms_V

    def _pairs(
        self,
        rows: Interactions,
        places_X: NDArray[Any],
        block: slice,
        evidence_N: Weights,
        targets_N: Weights,
    ) -> Any:
        """Compute c of a block of history items.

        Args:
            rows: the train rows, those of each user together.
            places_X: where the rows of the block's items stand.
            block: the items.
            evidence_N: weight of each row as part of a history.
            targets_N: weight of each row as what is to come.

        Returns:
            A CSR matrix (items of the block, V + 1).
        """
        # The weight of each distance, to later rows and then to earlier ones.
        distances_D = np.arange(1, self.config.window + 1)
        decays_D = self.config.decay ** (distances_D - 1)
        steps_D = np.concatenate((distances_D, -distances_D))
        weights_D = np.concatenate((decays_D, self.config.backward * decays_D))

        # Pair each row with its neighbors on both sides; those of other users, or outside of all rows, do not count.
        places_X1 = places_X[:, None]
        others_XD = places_X1 + steps_D
        inside_XD = (others_XD >= 0) & (others_XD < len(rows))
        others_XD = np.where(inside_XD, others_XD, 0)
        pairs_XD = evidence_N[places_X1] * weights_D * targets_N[others_XD]
        same_user_XD = rows.users_N[others_XD] == rows.users_N[places_X1]
        paired_XD = inside_XD & same_user_XD & (pairs_XD > 0)

        # Sum the pairs of each two items.
        firsts_XD = np.broadcast_to(rows.items_N[places_X1] - block.start, paired_XD.shape)
        seconds_N = rows.items_N[others_XD[paired_XD]]
        places = (firsts_XD[paired_XD], seconds_N)
        shape = (block.stop - block.start, self.catalog.num_items + 1)
        return csr_array((pairs_XD[paired_XD], places), shape=shape)
