"""Finding studies and search spaces: here, in the installed package, or by path."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import blade_tune
from blade_tune.config import guess, read_yaml
from blade_tune.errors import ConfigError
from blade_tune.models import MODELS

CatalogKind = Literal["studies", "search_spaces"]


@dataclass(frozen=True)
class StudySource:
    """A study file as it was read, once: run settings and the definition are both taken from it."""

    path: Path
    content: Mapping[str, Any]

    @classmethod
    def read(cls, study: str) -> "StudySource":
        """Read the file behind a study's name or path.

        Raises:
            ConfigError: there is none, or it is no YAML mapping.
        """
        path = find("studies", study)
        return cls(path, read_yaml(path))

    @classmethod
    def find(cls, study: str) -> "StudySource | None":
        """Read the file of a study, also of one that was stored as <study>-<model>; None where there is none here.

        Raises:
            ConfigError: it is no YAML mapping.
        """
        endings = (f"-{model}" for model in MODELS)
        for name in (study, *(study.removesuffix(ending) for ending in endings if study.endswith(ending))):
            with suppress(ConfigError):
                path = find("studies", name)
                break
        else:
            return None
        return cls(path, read_yaml(path))

    def section(self, name: str) -> Mapping[str, Any]:
        """One of its mappings; empty where it says nothing of it.

        Raises:
            ConfigError: it is no mapping.
        """
        found = self.content.get(name) or {}
        if not isinstance(found, Mapping):
            raise ConfigError(f"{self.path}: {name} must be a mapping, got {found!r}.")
        return found


def find(kind: CatalogKind, name: str) -> Path:
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


def available(kind: CatalogKind) -> dict[str, Path]:
    """Every name and its file; a file here hides a shipped one of the same name."""
    folders = (_shipped(kind), Path(kind))
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def _shipped(kind: CatalogKind) -> Path:
    """Where the wheel has them, or the checkout that an editable install points to."""
    package = Path(blade_tune.__file__).parent
    inside = package / "shipped" / kind
    return inside if inside.is_dir() else package.parent / kind
