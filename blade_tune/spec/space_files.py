"""Reading search spaces from their files, with shared blocks and parameters of the recipe `published`.

A space file has the groups of parameters `model` and `train`, and may have two more keys:

- `include`: the name of a space, or a list of names, whose parameters are added where the file has none of that name.
- `published`: groups of parameters that replace the file's own under the recipe `published`; nothing is included then.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blade_tune.config import read_yaml
from blade_tune.errors import ConfigError
from blade_tune.parameter import Value
from blade_tune.space import Space
from blade_tune.spec.catalog import find
from blade_tune.spec.recipes import OF_FILES, RecipeName

Groups = dict[str, dict[str, Any]]


def load_space(path: Path, recipe: RecipeName = OF_FILES, train: Mapping[str, Value] = {}) -> Space:
    """Read a space file under a recipe.

    Args:
        path: the space file.
        recipe: the name of the recipe.
        train: training settings that a study fixes, by name; they replace those of included blocks, but not the file's.

    Raises:
        ConfigError: the file or a block that it includes is missing or is not a space.
    """
    content = read_yaml(path)
    included = content.pop("include", None) or []
    published = content.pop("published", None) or {}
    names = [included] if isinstance(included, str) else included
    is_list = isinstance(names, list)
    if not is_list or not all(isinstance(name, str) for name in names):
        raise ConfigError(
            f"{path}: include must be the name of a space or a list of names, got {included!r}."
        )
    if recipe == "published":  # whose spaces include nothing
        groups = _joined(content, published, f"{path}: published")
        return Space.from_mapping(groups, str(path))
    for name in names:
        block = read_yaml(find("search_spaces", name))
        nested = {"include", "published"} & set(block)
        if nested:
            raise ConfigError(
                f"{path}: {name} cannot be included, for it has {min(nested)} itself."
            )
        block = _with_settings(block, train)
        content = _joined(block, content, f"{path}: include {name}")
    return Space.from_mapping(content, str(path))


def _with_settings(block: dict[str, Any], train: Mapping[str, Value]) -> dict[str, Any]:
    """Return a block with the given training settings in place of its own; those that it does not have are ignored."""
    own = block.get("train")
    if not isinstance(own, Mapping):
        return block
    replaced = {name: train.get(name, entry) for name, entry in own.items()}
    return {**block, "train": replaced}


def _joined(below: Mapping[str, Any], above: Mapping[str, Any], place: str) -> Groups:
    """Join two files' groups parameter by parameter; parameters of `above` replace those of `below`, and come first."""
    for part in (above, below):
        if not isinstance(part, Mapping):
            raise ConfigError(f"{place} must have groups of parameters, got {part!r}.")
    merged: Groups = {}
    for group in dict.fromkeys((*above, *below)):
        stronger = above.get(group) or {}
        weaker = below.get(group) or {}
        if not isinstance(stronger, Mapping) or not isinstance(weaker, Mapping):
            raise ConfigError(f"{place}: {group} must be a mapping of parameters.")
        added = {name: entry for name, entry in weaker.items() if name not in stronger}
        merged[group] = {**stronger, **added}
    return merged
