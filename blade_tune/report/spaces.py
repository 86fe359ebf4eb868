"""Search spaces as rows of plain data."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blade_tune.config import Settings
from blade_tune.errors import ConfigError
from blade_tune.models import MODELS
from blade_tune.parameter import Free
from blade_tune.space import Space
from blade_tune.spec.catalog import available
from blade_tune.spec.space_files import load_space


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


def all_space_rows() -> list[dict[str, Any]]:
    """Return a row for each space of the working folder and the package.

    Of a space whose name does not begin with that of a model, such as a block that others include, only its name, file
    and first words are told; of one that cannot be read, what is wrong with it.
    """
    return [_space_row(name, path) for name, path in sorted(available("search_spaces").items())]


def _space_row(name: str, path: Path) -> dict[str, Any]:
    model = name.partition("-")[0]
    row: dict[str, Any] = {"space": name, "model": model if model in MODELS else None}
    row |= dict.fromkeys(("free", "configurations"))
    if model in MODELS:
        try:
            space = load_space(path)
        except ConfigError as error:
            return {**row, "what": str(error), "file": str(path)}
        count = space.count()
        row["free"] = len(space.free)
        row["configurations"] = "continuous" if count is None else f"{count:,}"
    return {**row, "what": _first_words(path), "file": str(path)}


def _first_words(path: Path) -> str:
    """Return the first sentence of the comment at the head of a file; empty where it has none."""
    words = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        words.append(line.lstrip("# "))
    return re.split(r"(?<=\.) ", " ".join(words))[0]
