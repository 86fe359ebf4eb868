"""iALS: factors of what users met, where what they did not meet counts a little (Hu, Koren and Volinsky, ICDM 2008)."""

import numpy as np
import torch
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.catalog import Catalog, Interactions
from blade_tune.models.base import DotProduct
from blade_tune.models.fitted import EvidenceRecommender
from blade_tune.models.settings.classical import IalsConfig

STEPS_AT_ONCE = 2**22  # numbers in the item vectors that are gathered at once


class Ials(EvidenceRecommender, DotProduct):
    """iALS: the factors that minimize sum_ui c_ui (p_ui - x_u y_i)^2 + lambda (sum |x_u|^2 + sum |y_i|^2).

    Confidence c is 1 + alpha times the evidence, and the preference p is 1 where there is evidence and 0 elsewhere.
    Items are fitted by the library implicit, by its conjugate gradient. A user is solved for exactly, from the history
    in the window, so that users who were not there in the fit have a vector too.
    """

    Config = IalsConfig
    config: IalsConfig
    vectors: Tensor

    def __init__(self, config: IalsConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        self.register_buffer("vectors", torch.zeros(catalog.num_items + 1, config.factors))

    def fit(self, rows: Interactions, seed: int) -> None:
        """Alternate between users and items, from a start that the seed decides."""
        self.fit_evidence(self.evidence(rows), seed)

    def fit_evidence(self, evidence_UV: csr_matrix, seed: int) -> None:
        """Fit to given weights of what users met, (U, V + 1), instead of train rows."""
        confidence_UV = csr_matrix(evidence_UV, dtype=np.float32)
        confidence_UV.data = 1 + self.config.alpha * confidence_UV.data
        model = AlternatingLeastSquares(
            factors=self.config.factors,
            regularization=self.config.regularization,
            alpha=1.0,  # the matrix holds confidences, alpha included
            iterations=self.config.iterations,
            num_threads=torch.get_num_threads(),
            random_state=seed,
        )
        model.fit(confidence_UV, show_progress=False)
        self.vectors = torch.from_numpy(model.item_factors)

    def final_states(self, batch: Batch) -> Tensor:
        """Solve for the x_u of each history, states_BD."""
        # Flatten the items and confidences of all histories; one more item, the last, is padding.
        history_BV = self.histories(batch)
        confidence_N = 1 + self.config.alpha * history_BV.data
        items_N = torch.from_numpy(np.append(history_BV.indices, 0)).long()
        confidence_N = torch.from_numpy(np.append(confidence_N, 0))

        # Find the places of each history among them, padded to the longest one.
        starts_B1 = history_BV.indptr[:-1, None]
        ends_B1 = history_BV.indptr[1:, None]
        longest = int((ends_B1 - starts_B1).max(initial=1))
        places_BX = torch.from_numpy(starts_B1 + np.arange(longest))
        met_BX = places_BX < torch.from_numpy(ends_B1)
        places_BX = torch.where(met_BX, places_BX, len(items_N) - 1)

        # Solve for as many users at once as memory allows.
        vectors_VD = self.vectors.cpu()
        regularization = self.config.regularization
        at_once = max(1, STEPS_AT_ONCE // (self.config.factors * longest))
        states = []
        for places_X in places_BX.split(at_once):
            items_X = items_N[places_X]
            confidence_X = confidence_N[places_X]
            states.append(solve_users(vectors_VD, items_X, confidence_X, regularization))
        return torch.cat(states).to(batch.items_BL.device)

    def item_vectors(self) -> Tensor:
        """Return the vectors y of all items, vectors_VD."""
        return self.vectors


def solve_users(
    vectors_VD: Tensor, items_BX: Tensor, confidence_BX: Tensor, regularization: float
) -> Tensor:
    """Solve for the vectors of users, one exact half-step: (Y^T Y + sum (c - 1) y y^T + lambda I) x = sum c y.

    Args:
        vectors_VD: y of all items.
        items_BX: the items that each user met, each once.
        confidence_BX: c of these items; 0 where there is no item.
        regularization: lambda.

    Returns:
        states_BD.
    """
    # Y^T Y + lambda I, the same for all users.
    identity_DD = torch.eye(vectors_VD.shape[1], dtype=vectors_VD.dtype)
    everywhere_DD = vectors_VD.T @ vectors_VD + regularization * identity_DD

    # Each user's sum (c - 1) y y^T and sum c y, over the items she met.
    met_BXD = vectors_VD[items_BX]
    confidence_BX = confidence_BX.to(vectors_VD.dtype)
    beyond_BX1 = torch.where(confidence_BX > 0, confidence_BX - 1, 0)[..., None]
    normal_BDD = everywhere_DD + met_BXD.transpose(1, 2) @ (beyond_BX1 * met_BXD)
    right_BD = torch.einsum("bx,bxd->bd", confidence_BX, met_BXD)
    return torch.linalg.solve(normal_BDD, right_BD)
