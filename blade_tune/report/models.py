"""All models as rows of plain data, made from their registries: what each is, reads, is told, and is searched over."""

import re
from typing import Any

import numpy as np

from blade_tune.catalog import Catalog
from blade_tune.models import MODELS
from blade_tune.models.build import build_model
from blade_tune.registry import headline
from blade_tune.report import Row
from blade_tune.spec.catalog import available
from blade_tune.spec.definition import COMBINATION, is_fitted

# What stands in parentheses and has a year, as in "EASE: a linear model (Steck, WWW 2019)"
PAPER = re.compile(r" \(([^()]*\b(?:19|20)\d\d\b[^()]*)\)")


def model_rows() -> list[Row]:
    """Return a row for each model, in the order of the registry; what it reads and is told holds for its defaults."""
    rows = []
    for name in MODELS:
        what = headline(MODELS, name)
        paper = PAPER.search(what)
        rows.append(
            {
                "model": name,
                "what": PAPER.sub("", what),
                "paper": paper[1] if paper else None,
                "kind": "fitted at once" if is_fitted(name) else "trained in epochs",
                **_declared(name),
                "spaces": spaces_of(name),
            }
        )
    return rows


def spaces_of(model: str) -> list[str]:
    """Return the names of the spaces that are for a model, those that begin with its name."""
    return [name for name in available("search_spaces") if name.partition("-")[0] == model]


def _declared(name: str) -> dict[str, Any]:
    """Return what a model declares that it reads, and whether it is told the behavior set of the item to predict."""
    if name == COMBINATION:
        return {"reads": "what its members read", "told": "as its members"}
    model = build_model(name, {}, _small_catalog(), f"model {name}")
    told = "set of the next item" if model.told_target_set else "nothing"
    return {"reads": model.reads.replace("_", " "), "told": told}


def _small_catalog() -> Catalog:
    """Return a catalog of a few users and items, for which any model is built in an instant."""
    behaviors = ("view", "buy")
    ones_K = np.ones(len(behaviors), dtype=np.int64)
    return Catalog(
        num_users=2,
        num_items=3,
        behaviors=behaviors,
        auxiliary=(0,),
        behavior_counts_K=ones_K,
        pair_counts_KK=np.diag(ones_K),
        mode_set_K=np.array([0, 1], dtype=np.uint8),
    )
