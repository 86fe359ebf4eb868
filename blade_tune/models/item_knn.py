"""Item kNN: items that the same users met (Sarwar et al., WWW 2001; Deshpande and Karypis, TOIS 2004)."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from blade_tune.catalog import Interactions
from blade_tune.models.fitted import Weights
from blade_tune.models.item_to_item import ItemToItem, blocks_of
from blade_tune.models.settings.classical import ItemKnnConfig


class ItemKnn(ItemToItem):
    """Item kNN: the cosine of item columns, with shrinkage (Bell and Koren, ICDM 2007) and asymmetry (Aiolli, 2013).

    c = A^T T, where A holds the evidence of train rows and T what was to come. By default T has rows with a target
    behavior alone, so that it says what users like, and not what they meet. Norms are those of the columns of A and T.
    """

    Config = ItemKnnConfig

    def meetings(self, rows: Interactions) -> tuple[Iterator[Any], Weights, Weights]:
        """Count, by weights, the users who met both items (see ItemToItem.meetings)."""
        evidence_UV = self.evidence(rows)
        targets_UV = self.evidence(rows, self.config.target_auxiliary_weight)
        users_VU = evidence_UV.T.tocsr()
        products_V = (users_VU != 0).astype(np.int64) @ np.diff(targets_UV.indptr)
        blocks = ((users_VU[block] @ targets_UV).tocsr() for block in blocks_of(products_V))
        return blocks, _norms(evidence_UV), _norms(targets_UV)


def _norms(matrix: Any) -> Weights:
    """Compute the Euclidean norms of a sparse matrix's columns."""
    return np.sqrt(np.asarray(matrix.power(2).sum(axis=0)))
