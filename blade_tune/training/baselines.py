"""Baselines: what models reach that nobody has tuned. They stand beside every other figure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from blade_tune.batch import Catalog, Interactions
from blade_tune.data import digest, measured
from blade_tune.data.sequences import rows_with
from blade_tune.data.store import SearchData
from blade_tune.metrics import agree, summarize
from blade_tune.models.build import build_model
from blade_tune.models.fitted import FittedRecommender
from blade_tune.parameter import Value
from blade_tune.training.config import EvaluationConfig
from blade_tune.training.evaluation import Evaluator
from blade_tune.training.fitting import Fitting

RECIPES: Mapping[str, tuple[str, Mapping[str, Value]]] = {  # name -> model, and what of it is not at its default
    "popularity": ("popularity", {}),
    "popularity_told": ("popularity", {"counts": "target_set"}),
    "item_knn": ("item_knn", {}),
}
REFERENCE = "item_knn"  # the one that a winner must lie above
MOST_ITEMS = 200_000  # for which the reference is fitted: docs/performance.md has the time and memory
VERSION = 1  # raise where a recipe gives other figures than before


@dataclass(frozen=True)
class Baselines:
    """What each recipe reached; one that was left out is in neither mapping."""

    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    ranks: Mapping[str, Tensor] = field(default_factory=dict)  # ranks_U, in the order of the evaluated users
    left_out: Mapping[str, str] = field(default_factory=dict)  # and why


def measure(evaluator: Evaluator, rows: Interactions, catalog: Catalog) -> Baselines:
    """Fit every recipe and rank with it, under the evaluator's protocol.

    Args:
        evaluator: of the users to rank for.
        rows: to fit to.
        catalog: of the data set.
    """
    metrics, ranks, left_out = {}, {}, {}
    for name, (model, settings) in RECIPES.items():
        if name == REFERENCE and catalog.num_items > MOST_ITEMS:
            left_out[name] = f"{catalog.num_items:,} items are more than {MOST_ITEMS:,}"
            continue
        own = {**settings, "max_length": evaluator.windows.max_length}
        built = build_model(model, own, catalog, f"baseline {name}")
        assert isinstance(built, FittedRecommender)  # noqa: S101 - for the type checker; recipes are ours
        Fitting(built, rows, 0, evaluator.windows.device).fit()
        evaluation = evaluator(built)
        metrics[name], ranks[name] = evaluation.metrics, evaluation.ranks_U
    return Baselines(metrics, ranks, left_out)


def valid_baselines(data: SearchData, objective: EvaluationConfig, max_length: int, root: Path) -> Baselines:
    """The same on the valid rows of a data set, measured once for each protocol and kept.

    Args:
        data: the search data.
        objective: the protocol.
        max_length: of the windows, which the protocol leaves out of the ranking.
        root: a folder to keep what was measured in.
    """
    protocol = objective.model_dump(mode="json", exclude={"metric"})
    key = digest.key(baselines=VERSION, data=data.data_hash, protocol=protocol, max_length=max_length)
    path = root / ".baselines" / key
    if (known := measured.find(path, _read)) is not None:
        return known
    windows = data.windows("valid", max_length)
    found = measure(Evaluator(windows, rows_with(data.valid), data.catalog, objective), data.train, data.catalog)
    arrays = {name: ranks_U.numpy() for name, ranks_U in found.ranks.items()}
    measured.keep(path, arrays, {"metrics": found.metrics, "left_out": found.left_out})
    return found


def _read(arrays: measured.Arrays, facts: Mapping[str, Any]) -> Baselines:
    """Return what was kept; of a metric that was declared later the ranks give the figures.

    Raises:
        ValueError: the ranks do not give the figures.
    """
    ranks = {name: torch.tensor(array) for name, array in arrays.items()}
    if not all(agree(ranks_U, facts["metrics"][name]) for name, ranks_U in ranks.items()):
        raise ValueError
    metrics = {name: summarize(ranks_U) | facts["metrics"][name] for name, ranks_U in ranks.items()}
    return Baselines(metrics, ranks, facts["left_out"])
