"""Recipes: named settings of neural models that hold where neither a study file nor its space sets them.

The recipe `published` has no settings, so that each model's own defaults hold, which are those of its paper or public
code. The recipe `shared` has one initialization, one loss and one way of training for all models, measured to be the
best on QK-Video (docs/performance.md), so that models are compared by their architecture. Settings that a model refuses
or does not have are left out.
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from blade_tune.config import Settings
from blade_tune.parameter import Value
from blade_tune.space import Space

RecipeName = Literal["shared", "published"]
RECIPES: tuple[RecipeName, ...] = get_args(RecipeName)
OF_FILES: RecipeName = "shared"  # the recipe of a study file that names none

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
WHERE_PRESENT: Mapping[str, Value] = {  # settings of the recipe `shared` that only some models have
    "model.num_blocks": 1,
    "model.num_heads": 1,
    "model.cross_residual": "fused",
}


def values(recipe: RecipeName) -> Mapping[str, Value]:
    """Return the settings of a recipe by dotted name."""
    return {**SHARED, **WHERE_PRESENT} if recipe == "shared" else {}


def complete(space: Space, recipe: RecipeName, configs: Mapping[str, type[Settings]]) -> Space:
    """Fix the settings of a recipe in a space that neither searches nor fixes them.

    A setting is left out where the model refuses it or does not have it, or where it has no effect under any
    configuration of the space.

    Args:
        space: the space of a neural model.
        recipe: the name of the recipe.
        configs: the class of settings for each group of the space.

    Returns:
        The completed space; the given one is not changed.
    """
    for name, value in values(recipe).items():
        group, _, field = name.partition(".")
        refused: Mapping[str, str] = getattr(configs[group], "refused", {})
        is_settled = name in space.free or name in space.fixed
        if is_settled or field in refused or field not in configs[group].model_fields:
            continue
        if has_effect(space, group, field, configs[group]):
            space = space.with_fixed({name: value}, f"recipe {recipe}")
    return space


def has_effect(space: Space, group: str, field: str, config: type[Settings]) -> bool:
    """Whether a field of a group has an effect under some configuration of the space.

    A field may declare other fields, with the values of each at which it has an effect (`only_when`).
    """
    extra: Any = config.model_fields[field].json_schema_extra
    for other, effective in (extra or {}).get("only_when", {}).items():
        possible = space.possible(f"{group}.{other}", config.model_fields[other].default)
        if not set(possible) & set(effective):
            return False
    return True
