"""What every source is: a Config, a key for its content, and its interactions in four parts."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from blade_tune.batch import Interactions
from blade_tune.data.config import DataConfig
from blade_tune.data.sources import SOURCES
from blade_tune.registry import load


class Source(ABC):
    """Interactions of one data set, the rows of each user in time order, under the ids of their owner.

    What the search may see and what is sealed until evaluation are read apart: `search_key` and `search` never open
    what only `sealed` needs.
    """

    Config: ClassVar[type[DataConfig]]

    @abstractmethod
    def search_key(self) -> str:
        """Hash of the content and the settings that shape train and valid."""

    @abstractmethod
    def sealed_key(self) -> str:
        """Hash of the content and the settings that shape between and test."""

    @abstractmethod
    def search(self) -> tuple[Interactions, Interactions]:
        """Train: all before a user's penultimate target interaction; valid: that one."""

    @abstractmethod
    def sealed(self) -> tuple[Interactions, Interactions]:
        """Between: target-free rows after the valid one; test: a user's last target interaction."""

    def origin(self) -> Mapping[str, Any]:
        """What is known of where the rows come from: their license, rows read and left out, how a log was read."""
        return {}

    def original_ids(self) -> Mapping[str, Sequence[str]]:
        """The ids of `user` and `item` that stand behind the numbers 1, 2, ...; empty where the numbers are the ids."""
        return {}


def open_source(config: DataConfig, directory: Path | None) -> Source:
    """The source that `config` names; opening reads nothing yet."""
    source: Source = load(SOURCES, "source", config.source)(config, directory)
    return source
