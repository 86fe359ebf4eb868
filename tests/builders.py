"""Small catalogs, batches and models for tests."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from blade_tune.batch import Batch, Catalog
from blade_tune.models import MODELS
from blade_tune.models.base import Recommender
from blade_tune.registry import load
from blade_tune.training.ranking import Ranking

BEHAVIORS = ("click", "like", "share", "follow", "favorite")
MAX_LENGTH = 6


def make_catalog(num_behaviors: int = 4, num_users: int = 7, num_items: int = 20) -> Catalog:
    """A catalog whose behaviors have different frequencies and go together now and then."""
    frequency_K = np.array([0.7, 0.5, 0.2, 0.1, 0.3])[:num_behaviors]
    sets_NK = np.random.default_rng(0).random((400, num_behaviors)) < frequency_K
    pair_counts_KK = sets_NK.astype(np.int64).T @ sets_NK.astype(np.int64)
    return Catalog(num_users, num_items, BEHAVIORS[:num_behaviors], 0, np.diag(pair_counts_KK).copy(), pair_counts_KK)


def make_batch(
    catalog: Catalog, lengths: Sequence[int] = (6, 4, 1, 5, 3), max_length: int = MAX_LENGTH, seed: int = 0
) -> Batch:
    """A training batch: `lengths` counts the real steps of each user; every real set holds something."""
    B, L, K, V = len(lengths), max_length, catalog.num_behaviors, catalog.num_items
    random = torch.Generator().manual_seed(seed)
    real_BL = torch.arange(L) >= L - torch.tensor(lengths)[:, None]
    items_BX = torch.randint(1, V + 1, (B, L + 1), generator=random)
    sets_BXK = torch.randint(0, 2, (B, L + 1, K), generator=random)
    lonely_BX = torch.randint(0, K, (B, L + 1, 1), generator=random)
    sets_BXK = torch.where(sets_BXK.any(-1, keepdim=True), sets_BXK, sets_BXK.scatter(2, lonely_BX, 1))
    sets_BXK = sets_BXK.to(torch.uint8)
    negatives_BL = torch.randint(1, V + 1, (B, L), generator=random)
    return Batch(
        users_B=1 + torch.randperm(catalog.num_users, generator=random)[:B],
        items_BL=items_BX[:, :-1] * real_BL,
        sets_BLK=sets_BXK[:, :-1] * real_BL[..., None],
        target_items_BL=items_BX[:, 1:] * real_BL,
        target_sets_BLK=sets_BXK[:, 1:] * real_BL[..., None],
        negatives_BL=negatives_BL * real_BL,
    )


def make_model(name: str, catalog: Catalog, seed: int = 0, **settings: Any) -> Recommender:
    """A freshly initialized model of the registry for windows of MAX_LENGTH."""
    torch.manual_seed(seed)
    cls = load(MODELS, "model", name)
    return cls(cls.Config(**{"max_length": MAX_LENGTH, **settings}), catalog)


def ranks_of(scores_BV: Tensor, targets_B: Tensor, excluded_BV: Tensor) -> Tensor:
    """The ranks that a Ranking gives to plain scores; the users' states are unit vectors."""
    excluded_BX = excluded_BV * torch.arange(scores_BV.shape[1])
    ranking = Ranking(targets_B, scores_BV.shape[1] - 1)
    return ranking(torch.eye(len(scores_BV)), scores_BV.T, lambda rows_B: excluded_BX[rows_B])


def shaken(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in float64 with every parameter drawn anew, so that biases and norms show; padding rows are zero."""
    random = torch.Generator().manual_seed(seed)
    module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=random, dtype=torch.float64))
        for part in module.modules():
            if isinstance(part, nn.Embedding) and part.padding_idx is not None:
                part.weight[part.padding_idx] = 0.0
    return module.eval()
