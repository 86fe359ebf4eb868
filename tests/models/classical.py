"""What tests of the fitted models share: toy catalogs, fits of one line, and comparisons with the slow twins."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.catalog import Catalog, Interactions
from blade_tune.models.base import RecommenderModel
from blade_tune.models.build import build_model
from blade_tune.models.combination import Combination
from blade_tune.models.fitted import EvidenceRecommender
from blade_tune.models.settings.combination import CombinationConfig
from blade_tune.training.fitting import Fitting
from tests.builders import make_batch, make_catalog
from tests.models import twin_classical as twin
from tests.models.twin_classical import Vector, draw_users, interactions, windows_of

NAMES = ["popularity", "item_knn", "sequential_rules", "ease", "pure_svd", "ials"]


TALL = make_catalog(num_users=12, num_items=8)  # more users than items


WIDE = replace(make_catalog(num_users=6, num_items=9), auxiliary=(2, 3))


EVIDENCE: list[dict[str, Any]] = [
    {},
    {"half_life": 2.0, "auxiliary_weight": 0.3, "rarity_weight": 0.7},
    {"half_life": 1.0, "auxiliary_weight": 0.0, "rarity_weight": 2.0, "max_length": 4},
]


def rows_of(catalog: Catalog) -> Interactions:
    return interactions(draw_users(catalog))


def batch_of(catalog: Catalog) -> Batch:
    """Windows of all lengths; one is empty."""
    return make_batch(catalog, lengths=(6, 5, 3, 1, 0))


def settings_of(name: str, **settings: Any) -> dict[str, Any]:
    """Windows of six steps, and a size that fits the toys."""
    return {"max_length": 6, **({"factors": 3} if name in ("pure_svd", "ials") else {}), **settings}


def unfitted(name: str, catalog: Catalog = TALL, **settings: Any) -> Any:
    return build_model(name, settings_of(name, **settings), catalog, "test")


def fitted(
    name: str,
    catalog: Catalog = TALL,
    rows: Interactions | None = None,
    seed: int = 0,
    **settings: Any,
) -> Any:
    model = unfitted(name, catalog, **settings)
    Fitting(model, rows_of(catalog) if rows is None else rows, seed).fit()
    return model


def combined(
    members: list[RecommenderModel], catalog: Catalog = TALL, **settings: Any
) -> Combination:
    return Combination(CombinationConfig(**{"max_length": 6, **settings}), catalog, members)


def assert_scores(model: RecommenderModel, batch: Batch, expected: list[Vector]) -> None:
    scores_BV = model.scores(batch)
    assert scores_BV.dtype == torch.float32
    torch.testing.assert_close(scores_BV[:, 1:], torch.tensor(expected), atol=1e-5, rtol=1e-5)


def assert_linear(model: EvidenceRecommender, catalog: Catalog, weights: twin.Pairs) -> None:
    batch = batch_of(catalog)
    histories = [twin.history(window, catalog, model.config) for window in windows_of(batch)]
    assert_scores(model, batch, [twin.linear_scores(x, weights, catalog) for x in histories])


def assert_equal_states(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert list(one) == list(other)
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
