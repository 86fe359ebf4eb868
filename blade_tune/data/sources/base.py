"""Base class of sources, which read the interactions of a data set in four parts: train, valid, between and test."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from blade_tune.catalog import Interactions
from blade_tune.data.config import DataConfig
from blade_tune.data.sources import SOURCES
from blade_tune.registry import load


class Source(ABC):
    """Base class of sources: interactions of one data set under the ids of their owner, each user's in time order.

    What a search may see and what is sealed until evaluation are read separately: `search_key` and `search` never open
    a file that only `sealed` needs.
    """

    Config: ClassVar[type[DataConfig]]  # settings of a data set of this source

    @abstractmethod
    def search_key(self) -> str:
        """Return a hash of all content and settings that train and valid rows depend on."""

    @abstractmethod
    def sealed_key(self) -> str:
        """Return a hash of all content and settings that between and test rows depend on."""

    @abstractmethod
    def search(self) -> tuple[Interactions, Interactions]:
        """Return train, the rows before each user's penultimate target interaction, and valid, that interaction."""

    @abstractmethod
    def sealed(self) -> tuple[Interactions, Interactions]:
        """Return between, the rows without a target after the valid one, and test, the last target interaction."""

    def origin(self) -> Mapping[str, Any]:
        """Return what is known of the rows' origin: their license, rows read and left out, how a log was read."""
        return {}

    def folder(self) -> Path | None:
        """Return the folder of the source's files; None for a source without files."""
        return None

    def commands(self) -> Sequence[str]:
        """Return the commands that make the source's files; empty for files from elsewhere, and without files."""
        return []

    def original_ids(self) -> Mapping[str, Sequence[str]]:
        """Return the owner's ids of `user` and `item` for the numbers 1, 2, ...; empty if the numbers are the ids."""
        return {}


def open_source(config: DataConfig, directory: Path | None) -> Source:
    """Return the source that a data set's settings name, without reading anything yet.

    Args:
        config: settings of the data set.
        directory: folder of its files; None for a source without files.
    """
    source: Source = load(SOURCES, "source", config.source)(config, directory)
    return source
