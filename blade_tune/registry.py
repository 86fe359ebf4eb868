"""Loading of objects by name from registries.

A registry maps a name to "module:object", so that its names can be listed without importing any of the modules.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from blade_tune.config import guess
from blade_tune.errors import ConfigError


def load(registry: Mapping[str, str], kind: str, name: str) -> Any:
    """Import and return the object that a registry has under a name.

    Args:
        registry: name -> "module:object".
        kind: what the objects are, for errors ("model").
        name: the wanted name.

    Raises:
        ConfigError: the registry has no such name; the message suggests one.
    """
    if name not in registry:
        raise ConfigError(f"unknown {kind} {name!r}. {guess(name, registry)}")
    module, _, attribute = registry[name].partition(":")
    return getattr(import_module(module), attribute)
