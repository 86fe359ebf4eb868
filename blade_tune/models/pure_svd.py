"""PureSVD: the largest singular vectors of what users met (Cremonesi, Koren and Turrin, RecSys 2010)."""

import numpy as np
import torch
from scipy.sparse.linalg import svds
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.catalog import Catalog, Interactions
from blade_tune.models.base import DotProduct
from blade_tune.models.fitted import EvidenceRecommender
from blade_tune.models.settings.classical import PureSvdConfig

ROUNDING = 1e-10  # singular values below this share of the largest are 0


class PureSvd(EvidenceRecommender, DotProduct):
    """PureSVD: scores are x V V^T, the history projected on the right singular vectors of the evidence matrix."""

    Config = PureSvdConfig
    config: PureSvdConfig
    vectors: Tensor

    def __init__(self, config: PureSvdConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        self.register_buffer("vectors", torch.zeros(catalog.num_items + 1, 1))

    def fit(self, rows: Interactions, seed: int) -> None:  # noqa: ARG002 - nothing is drawn
        """Find the vectors by Lanczos iteration from a fixed start, or all of them where they are few."""
        evidence_UV = self.evidence(rows)
        fewest = min(evidence_UV.shape)
        if not evidence_UV.nnz:
            return
        if self.config.factors < fewest:
            start = np.random.default_rng(0).random(fewest)
            _, singular_D, vectors_DV = svds(evidence_UV, k=self.config.factors, v0=start)
        else:
            _, singular_D, vectors_DV = np.linalg.svd(evidence_UV.toarray(), full_matrices=False)
        # The vectors of singular values of 0 are arbitrary, so they are left out.
        kept_D = singular_D > ROUNDING * singular_D.max()
        vectors_VD = np.ascontiguousarray(vectors_DV[kept_D].T, dtype=np.float32)
        self.vectors = torch.from_numpy(vectors_VD)

    def final_states(self, batch: Batch) -> Tensor:
        """Compute x V, states_BD."""
        states_BD = torch.from_numpy(self.histories(batch) @ self.vectors.cpu().numpy())
        return states_BD.to(batch.items_BL.device)

    def item_vectors(self) -> Tensor:
        """Return V, vectors_VD."""
        return self.vectors
