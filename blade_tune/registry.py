"""Loading of objects by name from registries.

A registry maps a name to "module:object", so that its names can be listed without importing any of the modules.
"""

import ast
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from blade_tune.about import FOLDER
from blade_tune.config import known_names
from blade_tune.errors import ConfigError


def load(registry: Mapping[str, str], kind: str, name: str) -> Any:
    """Import and return the object that a registry has under a name.

    Args:
        registry: name -> "module:object".
        kind: what the objects are, for errors ("model").
        name: the wanted name.

    Raises:
        ConfigError: the registry has no such name; the message lists the known ones.
    """
    if name not in registry:
        raise ConfigError(f"unknown {kind} {name!r}. {known_names(name, registry)}")
    module, _, attribute = registry[name].partition(":")
    return getattr(import_module(module), attribute)


def headline(registry: Mapping[str, str], name: str) -> str:
    """Return the first line of the docstring of the module that has a registered object, without importing it.

    Args:
        registry: name -> "module:object".
        name: a name of the registry.
    """
    module = registry[name].partition(":")[0]
    place = FOLDER.joinpath(*module.split(".")[1:])
    parsed = ast.parse(place.with_suffix(".py").read_text(encoding="utf-8"))
    return (ast.get_docstring(parsed) or "").partition("\n")[0]
