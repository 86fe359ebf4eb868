"""Finding studies and search spaces: here, in the installed package, or by path."""

from pathlib import Path
from typing import Literal

import blade_tune
from blade_tune.config import guess
from blade_tune.errors import ConfigError

Kind = Literal["studies", "search_spaces"]


def find(kind: Kind, name: str) -> Path:
    """The file behind a name in ./studies (./search_spaces), else among those shipped, or behind a path.

    Raises:
        ConfigError: there is none; the message lists the names.
    """
    if name.endswith((".yaml", ".yml")) or "/" in name:
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"{path}: no such file.")
        return path
    known = available(kind)
    if name not in known:
        raise ConfigError(f"no file {name}.yaml in ./{kind} or in the package. {guess(name, known)}")
    return known[name]


def available(kind: Kind) -> dict[str, Path]:
    """Every name and its file; a file here hides a shipped one of the same name."""
    folders = (_shipped(kind), Path(kind))
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def _shipped(kind: Kind) -> Path:
    """Where the wheel has them, or the checkout that an editable install points to."""
    package = Path(blade_tune.__file__).parent
    inside = package / "shipped" / kind
    return inside if inside.is_dir() else package.parent / kind
