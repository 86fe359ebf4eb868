"""What a bundle remembers of its data: its place, rows and times, how its log is read, and the ids behind numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blade_tune.data.raw.settings import LogFormat, formats_of
from blade_tune.data.sources.base import open_source
from blade_tune.data.store import SearchData


@dataclass(frozen=True)
class DataOrigin:
    """What a bundle remembers of the data that its model is trained on."""

    facts: Mapping[str, Any]  # `data` of provenance.json
    formats: Sequence[
        LogFormat
    ]  # how files of its log are read; several if they have columns of their own
    users: list[str]  # ids in the log of the users 1, 2, ...
    items: list[str]  # ids in the log of the items 1, 2, ...

    @classmethod
    def of(cls, data: SearchData, directory: Path | None) -> "DataOrigin":
        """Look up what is known of prepared data.

        Args:
            data: the search data.
            directory: the folder of its files; None for a source without files.

        Raises:
            DataError: the files of ids are not as they were written.
        """
        source = open_source(data.config, directory)
        origin, ids, place = source.origin(), source.original_ids(), source.folder()
        facts = {
            "name": data.config.name,
            "license": origin.get("license", "unknown"),
            "rows": {"train": len(data.train), "valid": len(data.valid)},
            "folder": str(place.resolve()) if place else None,
            "version": origin.get("version", {}).get("number", 1),
            "time_span": origin.get("time_span"),
        }
        users = original_ids(data.user_ids_U, ids.get("user"))
        items = original_ids(data.item_ids_V, ids.get("item"))
        return cls(facts, log_formats(origin, data.config.behaviors), users, items)

    @property
    def log(self) -> LogFormat:
        """The first format."""
        return self.formats[0]

    @property
    def several(self) -> Sequence[LogFormat]:
        """All formats of a log whose files have columns of their own; else empty."""
        return self.formats if len(self.formats) > 1 else []


def log_formats(origin: Mapping[str, Any], behaviors: tuple[str, ...]) -> list[LogFormat]:
    """Return how files of a log of the data are read, with the study's names of the behaviors."""
    if "log" not in origin:
        return [LogFormat.of_split_files(behaviors)]
    return [
        LogFormat.model_validate({**form.model_dump(), "behaviors": behaviors})
        for form in formats_of(origin)
    ]


def original_ids(numbers_X: NDArray[np.int64], ids: Sequence[str] | None) -> list[str]:
    """Return the ids in the log of the data's raw numbers, without padding; without ids, the numbers themselves."""
    numbers = numbers_X[1:].tolist()
    if ids is None:
        return [str(number) for number in numbers]
    return [ids[number - 1] for number in numbers]
