"""Registries: name -> "module:object", so that listing names imports nothing."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from blade_tune.config import guess
from blade_tune.errors import ConfigError


def load(registry: Mapping[str, str], kind: str, name: str) -> Any:
    """Import and return the object that `registry` holds under `name`.

    Raises:
        ConfigError: no such name; the message says what a `kind` may be called.
    """
    if name not in registry:
        raise ConfigError(f"unknown {kind} {name!r}. {guess(name, registry)}")
    module, _, attribute = registry[name].partition(":")
    return getattr(import_module(module), attribute)
