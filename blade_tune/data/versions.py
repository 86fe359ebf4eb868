"""Versions of a prepared log: the folder that was prepared first, and one beside it for each time that rows were added.

The versions of `shop` are `shop`, `shop.2`, `shop.3`, ...; each is whole in itself, and the next one never changes it.
"""

import glob
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blade_tune.data.sources.split_files import read_preparation
from blade_tune.errors import DataError


@dataclass(frozen=True)
class Version:
    """A folder of prepared data with what is recorded of it."""

    folder: Path
    facts: Mapping[str, Any]  # of its `preparation.json`

    @property
    def number(self) -> int:
        """1 for the log that was prepared first, one more for each time that rows were added."""
        return int(self.facts.get("version", {}).get("number", 1))

    @property
    def study(self) -> str:
        """The name of the study that is written of it."""
        return numbered(str(self.facts["name"]), self.number)

    @property
    def next_folder(self) -> Path:
        """The folder of the next version."""
        return self.folder.with_name(
            numbered(_first_name(self.folder, self.facts), self.number + 1)
        )


def numbered(name: str, number: int) -> str:
    """Return the name of the n-th version of what has a name: shop, shop.2, shop.3, ..."""
    return name if number == 1 else f"{name}.{number}"


def versions_of(folder: Path) -> list[Version]:
    """Return all versions of the data set that a folder has a version of, the oldest first.

    Args:
        folder: the folder of any version; the list is empty where it has none that can be read.
    """
    own = _version(folder)
    if own is None:
        return []
    name = _first_name(own.folder, own.facts)
    candidates = [folder.with_name(name), *sorted(folder.parent.glob(f"{glob.escape(name)}.*"))]
    found = [version for version in map(_version, candidates) if version is not None]
    same = [
        version
        for version in found
        if version.folder.name == numbered(name, version.number)
        and _first_name(version.folder, version.facts) == name
    ]
    return sorted(same, key=lambda version: version.number)


def _version(folder: Path) -> Version | None:
    try:
        facts = read_preparation(folder)
        return Version(folder, facts) if facts else None
    except DataError:
        return None


def _first_name(folder: Path, facts: Mapping[str, Any]) -> str:
    """Return the name of the folder of the first version."""
    return str(facts.get("version", {}).get("of", folder.name))
