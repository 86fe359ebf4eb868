"""Recipes: how neural models start and are trained where neither a study file nor its space says.

A recipe is a name for settings that every neural model has. `published` has none: a model's own defaults are those of
its paper or public code. `shared` gives all models one start, one loss and one way of training, measured to be the best
on QK-Video (docs/performance.md); what a model refuses or does not have, it is spared.
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from blade_tune.config import Settings
from blade_tune.parameter import Value
from blade_tune.space import Space

RecipeName = Literal["shared", "published"]
RECIPES: tuple[RecipeName, ...] = get_args(RecipeName)
OF_FILES: RecipeName = "shared"  # that of a study file which names none

SHARED: Mapping[str, Value] = {
    "model.embedding_size": 32,
    "model.dropout": 0.5,
    "model.loss": "sampled_softmax",
    "model.num_negatives": 256,
    "model.auxiliary_weight": 0.1,
    "model.item_init": "ials",
    "model.item_std": 0.1,
    "model.block_init": "identity",
    "train.learning_rate": 3e-4,
    "train.batch_size": 256,
    "train.weight_decay": 1e-4,
}
WHERE_PRESENT: Mapping[str, Value] = {  # likewise, of models that have them
    "model.num_blocks": 1,
    "model.num_heads": 1,
    "model.cross_residual": "fused",
}


def values(recipe: RecipeName) -> Mapping[str, Value]:
    """The settings of a recipe by dotted name."""
    return {**SHARED, **WHERE_PRESENT} if recipe == "shared" else {}


def complete(space: Space, recipe: RecipeName, configs: Mapping[str, type[Settings]]) -> Space:
    """The space with what the recipe says of fields that it neither searches nor fixes, as far as that has an effect.

    Args:
        space: of a neural model.
        recipe: its name.
        configs: the settings classes of the space's groups.
    """
    for name, value in values(recipe).items():
        group, _, field = name.partition(".")
        refused: Mapping[str, str] = getattr(configs[group], "refused", {})
        is_settled = name in space.free or name in space.fixed
        if is_settled or field in refused or field not in configs[group].model_fields:
            continue
        if _has_effect(space, group, field, configs[group]):
            space = space.with_fixed({name: value}, f"recipe {recipe}")
    return space


def _has_effect(space: Space, group: str, field: str, config: type[Settings]) -> bool:
    """Whether some configuration of the space heeds a field."""
    extra: Any = config.model_fields[field].json_schema_extra
    for other, effective in (extra or {}).get("only_when", {}).items():
        possible = space.possible(f"{group}.{other}", config.model_fields[other].default)
        if not set(possible) & set(effective):
            return False
    return True
