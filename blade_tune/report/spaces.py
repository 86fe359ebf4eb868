"""Search spaces as rows of plain data."""

from collections.abc import Mapping
from typing import Any

from blade_tune.config import Settings
from blade_tune.parameter import Free
from blade_tune.space import Space


def space_rows(space: Space, configs: Mapping[str, type[Settings]]) -> list[dict[str, Any]]:
    """Return a row for each setting: free parameters first, then fixed ones, then settings left at their default.

    Args:
        space: the space.
        configs: group -> settings class, which declares defaults and descriptions.
    """
    rows = []
    for group, config in configs.items():
        for field, info in config.model_fields.items():
            name = f"{group}.{field}"
            if name in space.free:
                kind, value = "free", _free(space.free[name])
            elif name in space.fixed:
                kind, value = "fixed", str(space.fixed[name])
            else:
                kind, value = "default", str(info.default)
            rows.append({"name": name, "kind": kind, "value": value, "what": info.description})

    # In each kind, settings stay in the order of their declaration
    kinds = ("free", "fixed", "default")
    return sorted(rows, key=lambda row: kinds.index(row["kind"]))


def _free(parameter: Free) -> str:
    """Return a free parameter as text: its range and, if it is conditional, its condition."""
    if not parameter.when:
        return str(parameter)
    conditions = [f"{other} in {list(values)}" for other, values in parameter.when.items()]
    return f"{parameter} when {'; '.join(conditions)}"
