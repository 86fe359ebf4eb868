"""Small catalogs, batches and models for tests."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from blade_tune.batch import Batch
from blade_tune.catalog import Catalog, Interactions
from blade_tune.models.base import NeuralRecommender, RecommenderModel
from blade_tune.models.build import build_model
from blade_tune.models.combination import Combination
from blade_tune.models.fitted import FittedRecommender
from blade_tune.models.item_factors import FACTORS
from blade_tune.training.fitting import Fitting
from blade_tune.training.ranking import Ranking

BEHAVIORS = ("click", "like", "share", "follow", "favorite")
MAX_LENGTH = 6
MEMBERS: dict[
    str, dict[str, Any]
] = {  # of a combination, with settings under which it looks at behaviors
    "popularity": {},
    "item_knn": {"auxiliary_weight": 0.5, "rarity_weight": 1.0},
    "sequential_rules": {},
    "pure_svd": {},
    "ials": {},
}


def make_catalog(num_behaviors: int = 4, num_users: int = 7, num_items: int = 20) -> Catalog:
    """A catalog whose behaviors have different frequencies and go together now and then."""
    frequency_K = np.array([0.7, 0.5, 0.2, 0.1, 0.3])[:num_behaviors]
    sets_NK = np.random.default_rng(0).random((400, num_behaviors)) < frequency_K
    pair_counts_KK = sets_NK.astype(np.int64).T @ sets_NK.astype(np.int64)
    return Catalog(
        num_users,
        num_items,
        BEHAVIORS[:num_behaviors],
        (0,),
        np.diag(pair_counts_KK).copy(),
        pair_counts_KK,
    )


def make_batch(
    catalog: Catalog,
    lengths: Sequence[int] = (6, 4, 1, 5, 3),
    max_length: int = MAX_LENGTH,
    seed: int = 0,
) -> Batch:
    """A training batch: `lengths` counts the real steps of each user; every real set holds something."""
    B, L, K, V = len(lengths), max_length, catalog.num_behaviors, catalog.num_items
    random = torch.Generator().manual_seed(seed)
    real_BL = torch.arange(L) >= L - torch.tensor(lengths)[:, None]
    items_BX = torch.randint(1, V + 1, (B, L + 1), generator=random)
    sets_BXK = torch.randint(0, 2, (B, L + 1, K), generator=random)
    lonely_BX = torch.randint(0, K, (B, L + 1, 1), generator=random)
    sets_BXK = torch.where(
        sets_BXK.any(-1, keepdim=True), sets_BXK, sets_BXK.scatter(2, lonely_BX, 1)
    )
    sets_BXK = sets_BXK.to(torch.uint8)
    negatives_BL = torch.randint(1, V + 1, (B, L), generator=random)
    return Batch(
        users_B=1 + torch.randperm(catalog.num_users, generator=random)[:B],
        items_BL=items_BX[:, :-1] * real_BL,
        sets_BLK=sets_BXK[:, :-1] * real_BL[..., None],
        target_items_BL=items_BX[:, 1:] * real_BL,
        target_sets_BLK=sets_BXK[:, 1:] * real_BL[..., None],
        negatives_BL=negatives_BL * real_BL,
        shared_negatives_X=torch.randint(1, V + 1, (8,), generator=random),
    )


def make_rows(catalog: Catalog, num_rows: int = 8, seed: int = 0) -> Interactions:
    """So many train rows of each user; popular items more often, some more than once."""
    random = np.random.default_rng(seed)
    count = catalog.num_users * num_rows
    items_N = 1 + (catalog.num_items * random.random(count) ** 1.5).astype(np.int32)
    sets_NK = (random.random((count, catalog.num_behaviors)) < 0.4).astype(np.uint8)
    sets_NK[~sets_NK.any(axis=1), 0] = 1
    return Interactions(np.arange(1, catalog.num_users + 1).repeat(num_rows), items_N, sets_NK)


def make_factors(catalog: Catalog, rows: Interactions, name: str, size: int) -> Tensor:
    """What item tables may start from."""
    with threadpool_limits(1, "blas"):
        return torch.from_numpy(FACTORS[name](rows, catalog, size))


def make_model(
    name: str, catalog: Catalog, seed: int = 0, rows: Interactions | None = None, **settings: Any
) -> RecommenderModel:
    """A model of the registry for windows of MAX_LENGTH, at its start, or fitted to rows.

    A combination has all MEMBERS.
    """
    torch.manual_seed(seed)
    settings = {"max_length": MAX_LENGTH, **settings}
    members = (
        [(m, {"max_length": MAX_LENGTH, **own}) for m, own in MEMBERS.items()]
        if name == "combination"
        else ()
    )
    model = build_model(name, settings, catalog, "test", members)
    for part in model.members if isinstance(model, Combination) else (model,):
        if isinstance(part, FittedRecommender):
            Fitting(part, make_rows(catalog) if rows is None else rows, seed).fit()
        elif isinstance(part, NeuralRecommender):
            part.start(partial(make_factors, catalog, make_rows(catalog) if rows is None else rows))
    return model


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
            parameter.copy_(
                0.5 * torch.randn(parameter.shape, generator=random, dtype=torch.float64)
            )
        for part in module.modules():
            if isinstance(part, nn.Embedding) and part.padding_idx is not None:
                part.weight[part.padding_idx] = 0.0
    return module.eval()
