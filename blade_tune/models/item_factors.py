"""Item vectors that say which items the same users met, before anything is trained: starts of item tables.

With both kinds the score of an item after a history is about the product of its vector with the mean of the history's
vectors. So a model that starts by passing on that mean (`block_init: identity`) starts as a classical recommender.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import fractional_matrix_power
from scipy.sparse.linalg import LinearOperator, eigsh, norm, svds

from blade_tune.catalog import Catalog, Interactions
from blade_tune.models.ials import Ials
from blade_tune.models.item_knn import ItemKnn
from blade_tune.models.settings.classical import IalsConfig, ItemKnnConfig

Factors = NDArray[np.float32]

# Settings of the cooccurrence. More neighbors of an item changed nothing that was measured, and cost memory.
NEIGHBORS = 500
SHRINKAGE = 50.0

# Settings of iALS, as a search on QK-Video found them.
AUXILIARY_WEIGHT = 0.6
RARITY_WEIGHT = 0.25
CONFIDENCE = 0.076  # alpha times the share of all pairs that met; alpha was 67 in that search
REGULARIZATION = 0.25  # 1 would remove the weakest of the factors


def cooccurrence_factors(rows: Interactions, catalog: Catalog, size: int) -> Factors:
    """Compute Q sqrt(max(Lambda, 0)) of the largest eigenvalues Lambda of the items' similarity and their vectors Q.

    Similarity is the cosine of item columns with shrinkage, as in ItemKnn, with the same weight for all rows. It is
    made symmetric by the mean with its transpose, since neighbors were cut. Nothing is drawn.

    Args:
        rows: the train rows.
        catalog: what is known of the data set.
        size: D.

    Returns:
        factors_VD; row 0, padding, is zero, and so are columns beyond the number of items.
    """
    config = ItemKnnConfig(
        neighbors=min(NEIGHBORS, catalog.num_items),
        shrinkage=SHRINKAGE,
        target_auxiliary_weight=1.0,
    )
    knn = ItemKnn(config, catalog)
    knn.fit(rows, 0)
    similarity_VV = knn.similarity.matrix
    factors_VD = np.zeros((catalog.num_items + 1, size), np.float32)
    if not similarity_VV.nnz:
        return factors_VD
    count = min(size, catalog.num_items)  # eigsh cannot find all of V + 1
    start = np.random.default_rng(0).random(catalog.num_items + 1)
    values_D, vectors_VD = eigsh(_symmetric(similarity_VV), k=count, which="LA", v0=start)
    scaled_VD = vectors_VD * np.sqrt(np.maximum(values_D, 0.0))
    factors_VD[:, :count] = scaled_VD[:, ::-1]  # eigsh sorts from the smallest
    factors_VD[0] = 0.0
    return factors_VD


def ials_factors(rows: Interactions, catalog: Catalog, size: int) -> Factors:
    """Compute Y (Y^T Y + lambda I)^(-1/2) of the item vectors Y that iALS finds (see Ials), with a fixed seed.

    A user of iALS is x = (Y^T Y + lambda I + ...)^(-1) sum c y. Without the part that is the user's own, x y_v is the
    product of the sum of c times the history's factors with the factors of v.

    alpha grows with the sparsity of the data, and lambda with the D-th singular value of the confidences where there is
    evidence: factors along singular values below lambda vanish.

    Args:
        rows: the train rows.
        catalog: what is known of the data set.
        size: D.

    Returns:
        factors_VD; row 0, padding, is zero.
    """
    config = IalsConfig(
        factors=size, auxiliary_weight=AUXILIARY_WEIGHT, rarity_weight=RARITY_WEIGHT
    )
    evidence_UV = Ials(config, catalog).evidence(rows)
    if not evidence_UV.nnz:
        return np.zeros((catalog.num_items + 1, size), np.float32)

    # Choose alpha and lambda for this data.
    alpha = CONFIDENCE * catalog.num_users * catalog.num_items / evidence_UV.nnz
    confidence_UV = evidence_UV.copy()
    confidence_UV.data = 1 + alpha * confidence_UV.data
    regularization = REGULARIZATION * _singular_value(confidence_UV, size)

    # Fit iALS.
    config = config.model_copy(update={"alpha": alpha, "regularization": regularization})
    ials = Ials(config, catalog)
    ials.fit_evidence(evidence_UV, 0)

    # Turn its vectors into factors.
    vectors_VD = ials.vectors.double().numpy()
    inner_DD = vectors_VD.T @ vectors_VD + regularization * np.eye(size)
    turned_VD = vectors_VD @ fractional_matrix_power(inner_DD, -0.5).real
    factors_VD: Factors = turned_VD.astype(np.float32)
    factors_VD[0] = 0.0
    return factors_VD


def _symmetric(matrix: Any) -> LinearOperator:
    """Make (A + A^T) / 2 as an operator on vectors: the sum itself would take several times the memory of A."""
    transposed = matrix.T

    def product(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        half = (0.5 * vector).astype(matrix.dtype)
        return (matrix @ half + transposed @ half).astype(np.float64)

    return LinearOperator(matrix.shape, matvec=product, dtype=np.float64)


def _singular_value(matrix: Any, place: int) -> float:
    """Find the singular value at a place, the largest at place 1; the last but one where there are fewer."""
    size = min(matrix.shape)
    place = min(place, size - 1)
    if not place:
        # A single row or column has one singular value, its norm.
        return norm(matrix)
    start = np.random.default_rng(0).random(size)
    largest_X = svds(matrix, k=place, v0=start, return_singular_vectors=False)
    return float(largest_X.min())


FACTORS: dict[str, Callable[[Interactions, Catalog, int], Factors]] = {
    "cooccurrence": cooccurrence_factors,
    "ials": ials_factors,
}
