"""Effects of changes that nobody trained, from made-up ranks."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blade_tune.parameter import Value
from blade_tune.selection.effects import Changes, Effect, Effects
from blade_tune.selection.groups import groups_of
from blade_tune.selection.scores import Scores
from blade_tune.selection.statistics import holm, paired_bootstrap

SEEDS, USERS = 5, 120
Ranks = NDArray[np.int32]


def made(
    title: str,
    base_SU: Ranks,
    changed: Mapping[str, tuple[Changes, Ranks]],
    values: Mapping[str, Value] = {},
    **facts: Any,
) -> Effects:
    """A table with these ranks of the winner and of its changes by label."""
    base = Scores("trial 7", base_SU)
    all_scores = [Scores(label, ranks_SU) for label, (_, ranks_SU) in changed.items()]
    found = [paired_bootstrap(each.gains("ndcg@10"), base.gains("ndcg@10")) for each in all_scores]
    all_changes = [changes for changes, _ in changed.values()]
    adjusted = holm([each.p_value for each in found])
    shares_U = np.linspace(0.0, 0.79, base_SU.shape[1])
    return Effects(
        **{
            "title": title,
            "metric": "ndcg@10",
            "trial": 7,
            "values": values,
            "part": "valid",
            "num_seeds": len(base_SU),
            "owed": 0.0,
            "base": base,
            "effects": tuple(map(Effect, all_changes, all_scores, found, adjusted)),
            "groups": groups_of(np.arange(base_SU.shape[1]) < 2, shares_U),
            **facts,
        }
    )


def varied(
    title: str, all_changes: list[Changes], values: Mapping[str, Value], seeds: int = SEEDS
) -> Effects:
    """A sweep or a grid whose ranks are drawn."""
    rng = np.random.default_rng(11)
    changed = {
        ", ".join(f"{name}={value}" for name, value in changes.items()): (
            changes,
            drawn(rng, seeds),
        )
        for changes in all_changes
    }
    part = "test" if title.endswith("test") else "valid"
    return made(title, drawn(rng, seeds), changed, values, part=part)


def drawn(rng: np.random.Generator, seeds: int = SEEDS) -> Ranks:
    """Ranks of every user on every seed."""
    return rng.integers(0, 30, size=(seeds, USERS), dtype=np.int32)
