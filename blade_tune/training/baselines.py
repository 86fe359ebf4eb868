"""Baselines: simple models at fixed, untuned settings, whose metrics are reported next to those of every tuned model.

A tuned model below an untuned baseline was not worth its tuning; reports warn of that. Of the baselines, `REFERENCE` is
the one that a winner is compared with user by user.

What was measured before is read without torch, which is imported where something has to be fitted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from blade_tune.catalog import Catalog, Interactions
from blade_tune.data import digest, measured
from blade_tune.data.store import SearchData
from blade_tune.metrics import agree, summarize
from blade_tune.parameter import Value
from blade_tune.training.config import EvaluationConfig

if TYPE_CHECKING:
    from blade_tune.training.evaluation import Evaluator

# The name of a baseline -> its model, and the settings that are not at their defaults
RECIPES: Mapping[str, tuple[str, Mapping[str, Value]]] = {
    "popularity": ("popularity", {}),
    "popularity_told": ("popularity", {"counts": "target_set"}),
    "item_knn": ("item_knn", {}),
}

REFERENCE = "item_knn"  # the baseline that a winner must be better than
# The largest catalog that the reference is fitted to; docs/performance.md has the time and memory
MOST_ITEMS = 200_000
VERSION = 1  # part of the cache's key; increase it when a baseline's figures change


@dataclass(frozen=True)
class Baselines:
    """Metrics and ranks of the baselines on one set of users, each by the baseline's name."""

    # The value of every metric, by the metric's name
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    # ranks_U, in the order of the evaluated users
    ranks: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    # For each baseline that was not measured, the reason
    left_out: Mapping[str, str] = field(default_factory=dict)


def measure(evaluator: "Evaluator", rows: Interactions, catalog: Catalog) -> Baselines:
    """Fit every baseline, and rank with each under the evaluator's protocol.

    The reference baseline is left out of a catalog of more than `MOST_ITEMS` items.

    Args:
        evaluator: ranks for the users to measure on.
        rows: the interactions to fit to.
        catalog: the data set's catalog.
    """
    from blade_tune.models.build import build_model
    from blade_tune.models.fitted import FittedRecommender
    from blade_tune.training.fitting import Fitting

    metrics = {}
    ranks = {}
    left_out = {}
    for name, (model_name, settings) in RECIPES.items():
        if name == REFERENCE and catalog.num_items > MOST_ITEMS:
            left_out[name] = f"{catalog.num_items:,} items are more than {MOST_ITEMS:,}"
            continue

        # Fit the model.
        settings = {**settings, "max_length": evaluator.windows.max_length}
        model = build_model(model_name, settings, catalog, f"baseline {name}")
        assert isinstance(model, FittedRecommender)  # noqa: S101 - for the type checker; recipes are ours
        Fitting(model, rows, 0, evaluator.windows.device).fit()

        # Rank with it.
        evaluation = evaluator(model)
        metrics[name] = evaluation.metrics
        ranks[name] = evaluation.ranks_U.numpy()
    return Baselines(metrics, ranks, left_out)


def valid_baselines(
    data: SearchData, objective: EvaluationConfig, max_length: int, root: Path
) -> Baselines:
    """Return the baselines fitted to the train rows and measured on the validation rows of a data set.

    They are measured once for each data set, protocol and window length, and then read from a cache.

    Args:
        data: the search data.
        objective: the protocol of evaluation.
        max_length: length of the input windows, whose items the protocol may leave out of the ranking.
        root: folder of the cache, which gets a subfolder `.baselines`.
    """
    # Look into the cache, whose key is all that the figures depend on.
    protocol = objective.model_dump(mode="json", exclude={"metric"})
    key = digest.key(
        baselines=VERSION, data=data.data_hash, protocol=protocol, max_length=max_length
    )
    path = root / ".baselines" / key
    cached = measured.find(path, _read)
    if cached is not None:
        return cached

    from blade_tune.data.sequences import rows_with
    from blade_tune.training.evaluation import Evaluator

    # Measure the baselines, and keep them; of workers that start together, one does so and the others wait.
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / ".baselines.lock"):
        cached = measured.find(path, _read)
        if cached is not None:
            return cached
        windows = data.windows("valid", max_length)
        evaluator = Evaluator(windows, rows_with(data.valid), data.catalog, objective)
        baselines = measure(evaluator, data.train, data.catalog)
        facts = {"metrics": baselines.metrics, "left_out": baselines.left_out}
        measured.keep(path, baselines.ranks, facts)
        return baselines


def _read(arrays: measured.Arrays, facts: Mapping[str, Any]) -> Baselines:
    """Return baselines read from the cache, with metrics that are newer than the cache computed from the ranks.

    Raises:
        ValueError: the cached metrics are not those of the cached ranks.
    """
    ranks = {}
    metrics = {}
    for name, ranks_U in arrays.items():
        ranks[name] = ranks_U.astype(np.int64)
        stored = facts["metrics"][name]
        if not agree(ranks_U, stored):
            raise ValueError
        metrics[name] = summarize(ranks_U) | stored
    return Baselines(metrics, ranks, facts["left_out"])
