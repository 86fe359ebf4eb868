"""EASE: a linear model of each item by all others, in closed form (Steck, WWW 2019)."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.catalog import Catalog, Interactions
from blade_tune.layers.sparse import Sparse
from blade_tune.models.fitted import EvidenceRecommender
from blade_tune.models.settings.classical import EaseConfig

COLUMNS_AT_ONCE = 2048

Matrix = NDArray[np.float64]


class Ease(EvidenceRecommender):
    """EASE: scores are x B, where B minimizes |T - A B|^2 + lambda |B|^2 with a diagonal of 0.

    A is the evidence of train rows, and T is what was to come. With P = (A^T A + lambda I)^-1 and C = P A^T T the
    solution is b_j = C_j - P_j C_jj / P_jj; where T is A, that is Steck's b_ij = -P_ij / P_jj.

    Where users are fewer than items, only their matrix K = (A A^T + lambda I)^-1 is inverted: C = A^T K T and
    lambda P = I - A^T K A (Woodbury), so that x B = z (T + A diag(h)) - x diag(h) with z = x A^T K and
    h_j = C_jj / (lambda P_jj).

    Deviates: T may differ from A, so that it can say what users like of all that they meet.
    """

    Config = EaseConfig
    config: EaseConfig
    weights: Tensor
    own: Tensor

    def __init__(self, config: EaseConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        num_users, num_items = catalog.num_users, catalog.num_items
        self.in_user_space = num_users < num_items
        self.register_buffer("weights", torch.zeros(0, 0))  # B, or K in user space
        if self.in_user_space:
            self.met = Sparse(num_items + 1, num_users)  # A^T
            self.mixed = Sparse(num_items + 1, num_users)  # (T + A diag(h))^T
            self.register_buffer("own", torch.zeros(num_items + 1))  # h

    def fit(self, rows: Interactions, seed: int) -> None:  # noqa: ARG002 - nothing is drawn
        """Solve for B, or for K and h in user space, in float64."""
        evidence_UV = self.evidence(rows)
        targets_UV = self.evidence(rows, self.config.target_auxiliary_weight)
        regularization = self.config.regularization
        if not self.in_user_space:
            weights_VV = in_item_space(evidence_UV, targets_UV, regularization)
            self.weights = torch.from_numpy(weights_VV).float()
            return
        inverse_UU, own_V = in_user_space(evidence_UV, targets_UV, regularization)
        self.weights = torch.from_numpy(inverse_UU).float()
        self.own = torch.from_numpy(own_V).float()
        self.met.keep(evidence_UV.T)
        self.mixed.keep((targets_UV + evidence_UV.multiply(own_V[None])).T)

    def scores(self, batch: Batch) -> Tensor:
        """Compute x B, scores_BV in float32."""
        history_BV = self.histories(batch)
        weights = self.weights.cpu().numpy().astype(np.float32, copy=False)
        if self.in_user_space:
            # z = x A^T K, and then z (T + A diag(h)) - x diag(h).
            states_BU = (history_BV @ self.met.matrix).toarray() @ weights
            own_BV = history_BV.multiply(self.own.cpu().numpy()[None])
            scores_BV = (self.mixed.matrix @ states_BU.T).T - own_BV
        else:
            scores_BV = history_BV @ weights
        scores_BV = np.ascontiguousarray(scores_BV, dtype=np.float32)
        return torch.from_numpy(scores_BV).to(batch.items_BL.device)


def in_item_space(evidence_UV: Any, targets_UV: Any, regularization: float) -> Matrix:
    """Solve for B of all items.

    Args:
        evidence_UV: A, a sparse matrix.
        targets_UV: T, a sparse matrix.
        regularization: lambda.
    """
    # P, and then C = P A^T T.
    gram_VV = (evidence_UV.T @ evidence_UV).toarray()
    inverse_VV = _regularized_inverse(gram_VV, regularization)
    weights_VV: Matrix = inverse_VV @ (evidence_UV.T @ targets_UV).toarray()

    # b_j = C_j - P_j C_jj / P_jj, which sets the diagonal to 0.
    weights_VV -= inverse_VV * (weights_VV.diagonal() / inverse_VV.diagonal())
    return weights_VV


def in_user_space(
    evidence_UV: Any, targets_UV: Any, regularization: float
) -> tuple[Matrix, Matrix]:
    """Solve for K and h of all users, where those are fewer than items.

    Args:
        evidence_UV: A, a sparse matrix.
        targets_UV: T, a sparse matrix.
        regularization: lambda.

    Returns:
        K, (U, U), and h, (V + 1,).
    """
    gram_UU = (evidence_UV @ evidence_UV.T).toarray()
    inverse_UU = _regularized_inverse(gram_UU, regularization)

    # h_j = C_jj / (lambda P_jj), for a block of items at once.
    evidence_VU = evidence_UV.T.tocsr()
    targets_VU = targets_UV.T.tocsr()
    own_V = np.zeros(evidence_UV.shape[1])
    for first in range(0, len(own_V), COLUMNS_AT_ONCE):
        some = slice(first, first + COLUMNS_AT_ONCE)
        answers_XU = evidence_VU[some] @ inverse_UU  # a_j^T K
        diagonal_X = 1 - evidence_VU[some].multiply(answers_XU).sum(axis=1)  # lambda P_jj
        unconstrained_X = targets_VU[some].multiply(answers_XU).sum(axis=1)  # C_jj
        own_V[some] = unconstrained_X / diagonal_X
    return inverse_UU, own_V


def _regularized_inverse(gram: Matrix, regularization: float) -> Matrix:
    """Compute (G + lambda I)^-1 of a symmetric matrix G, which is overwritten."""
    np.fill_diagonal(gram, gram.diagonal() + regularization)
    regularized = torch.from_numpy(gram.astype(np.float64, copy=False))
    return torch.cholesky_inverse(torch.linalg.cholesky(regularized)).numpy()
