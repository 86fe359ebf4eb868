"""Item vectors that say which items the same users met, before anything is trained."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import eigsh

from blade_tune.batch import Catalog, Interactions
from blade_tune.models.item_knn import ItemKnn, ItemKnnConfig

NEIGHBORS = 500  # kept of each item: more change nothing that was measured, and cost memory
SHRINKAGE = 50.0


def item_factors(rows: Interactions, catalog: Catalog, size: int) -> NDArray[np.float32]:
    """factors_VD = Q sqrt(max(Lambda, 0)) of the largest eigenvalues Lambda of the items' similarity, vectors Q.

    Similarity is the cosine of item columns with shrinkage, as in ItemKnn, of all rows alike; made symmetric by the
    mean with its transpose where neighbors were cut. Nothing is drawn. Row 0, padding, is zero, and so are columns
    beyond the number of items.

    Args:
        rows: to learn from.
        catalog: of the data set.
        size: D.
    """
    config = ItemKnnConfig(
        neighbors=min(NEIGHBORS, catalog.num_items), shrinkage=SHRINKAGE, target_auxiliary_weight=1.0
    )
    knn = ItemKnn(config, catalog)
    knn.fit(rows, 0)
    similarity_VV = knn.similarity.matrix
    similarity_VV = (similarity_VV + similarity_VV.T) / 2
    factors_VD = np.zeros((catalog.num_items + 1, size), np.float32)
    count = min(size, catalog.num_items)  # eigsh gives fewer than all
    if similarity_VV.nnz:
        start = np.random.default_rng(0).random(catalog.num_items + 1)
        values_D, vectors_VD = eigsh(similarity_VV.astype(np.float64), k=count, which="LA", v0=start)
        factors_VD[:, :count] = (vectors_VD * np.sqrt(np.maximum(values_D, 0.0)))[:, ::-1]
        factors_VD[0] = 0.0
    return factors_VD
