"""The catalog of study files and search spaces: those in the working folder, those of the package, or any by path."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from blade_tune.about import FOLDER
from blade_tune.config import known_names, read_yaml
from blade_tune.errors import ConfigError
from blade_tune.models import MODELS
from blade_tune.spec.recipes import RECIPES

CatalogKind = Literal["studies", "search_spaces"]


@dataclass(frozen=True)
class StudySource:
    """The content of a study file, read once, from which both the run settings and the definition are taken."""

    path: Path
    content: Mapping[str, Any]

    @classmethod
    def read(cls, study: str) -> "StudySource":
        """Read the study file of a name or path.

        Raises:
            ConfigError: no such file exists, or it is not a YAML mapping.
        """
        path = find("studies", study)
        return cls(path, read_yaml(path))

    @classmethod
    def find(cls, study: str) -> "StudySource | None":
        """Read the study file of a stored study, which may be called <file>-<model>-<recipe>, or either of the two.

        Returns:
            None where there is no such file in the working folder or the package.

        Raises:
            ConfigError: the file is not a YAML mapping.
        """
        names = [study]
        names += [name.removesuffix(f"-{recipe}") for recipe in RECIPES for name in names]
        names += [name.removesuffix(f"-{model}") for name in names for model in MODELS]
        for name in dict.fromkeys(names):
            try:
                path = find("studies", name)
            except ConfigError:  # no file of this name: try the next
                continue
            return cls(path, read_yaml(path))
        return None

    def section(self, name: str) -> Mapping[str, Any]:
        """Return one of the file's sections; empty where the file does not have it.

        Raises:
            ConfigError: the section is not a mapping.
        """
        section = self.content.get(name) or {}
        if not isinstance(section, Mapping):
            raise ConfigError(f"{self.path}: {name} must be a mapping, got {section!r}.")
        return section


def find(kind: CatalogKind, name: str) -> Path:
    """Return the file of a study or a search space.

    Args:
        kind: which of the two.
        name: the name of a file in ./studies or ./search_spaces, else of one in the package; or a path, which has a
            slash or ends with .yaml or .yml.

    Raises:
        ConfigError: no such file exists; the message lists names.
    """
    if name.endswith((".yaml", ".yml")) or "/" in name:
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"{path}: no such file.")
        return path
    known = available(kind)
    if name not in known:
        raise ConfigError(
            f"no file {name}.yaml in ./{kind} or in the package. {known_names(name, known)}"
        )
    return known[name]


def available(kind: CatalogKind) -> dict[str, Path]:
    """Return every name and its file; a file in the working folder hides a shipped one of the same name."""
    folders = (_shipped(kind), Path(kind))  # of two files of one name the later wins
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def is_shipped(kind: CatalogKind, name: str) -> bool:
    """Return whether the package has a file of a name."""
    return (_shipped(kind) / f"{name}.yaml").is_file()


def published_figures() -> Path:
    """Return the file of test figures that papers have published, by data set and model."""
    return _shipped("studies") / "published.csv"


def _shipped(kind: CatalogKind) -> Path:
    """Return the folder of the shipped files: in the installed package, or in the checkout of an editable install."""
    inside = FOLDER / "shipped" / kind
    return inside if inside.is_dir() else FOLDER.parent / kind
