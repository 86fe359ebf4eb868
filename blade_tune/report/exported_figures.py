"""Test figures of a study's exported model, read from its bundle as far as the study's ledger vouches for it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blade_tune.errors import DataError
from blade_tune.files import sha256
from blade_tune.study.stored import StoredStudy

COMMAND = "export-best"  # of the ledger's lines


@dataclass(frozen=True)
class Exported:
    """What the model in a study's bundle reached on the sealed test rows."""

    trial: int  # of the search
    metric: str  # the study's
    facts: Mapping[str, Any]  # the bundle's metrics.json

    @property
    def figure(self) -> float:
        """The study's metric on test rows."""
        return float(self.facts["test"][self.metric])

    @property
    def interval(self) -> tuple[float | None, float | None]:
        """The ends of its 95% interval over users; None where there is none."""
        low, high = self.facts["test_intervals"].get(self.metric, (None, None))
        return low, high

    @property
    def words(self) -> str:
        """How the model stands to the untuned baseline on the same rows, in words; empty where that is not known."""
        return str((self.facts.get("verdict") or {}).get("words", ""))


def exports(stored: StoredStudy) -> list[Mapping[str, Any]]:
    """Return the lines of a study's ledger by which `export-best` opened the test rows; none of a broken ledger."""
    try:
        openings = stored.ledger.openings()
    except DataError:
        return []
    return [entry for entry in openings if entry.get("command") == COMMAND]


def read_exported(stored: StoredStudy) -> Exported | None:
    """Return the test figures of the bundle in a study's folder.

    None before `export-best` has opened the test rows, and where the bundle is elsewhere, was changed, or is not one
    that the study's ledger has a line for.
    """
    if not exports(stored):
        return None
    try:
        facts, provenance = (_read(stored, name) for name in ("metrics.json", "provenance.json"))
        trial, line = provenance["trial"], provenance["ledger"]["lines"] - 1
        opening = stored.ledger.entries()[line]
        is_ours = provenance["study"] == stored.definition.name == opening["study"]
        if not is_ours or opening["trial"] != trial or opening["command"] != COMMAND:
            return None
        found = Exported(trial, stored.definition.objective.metric, facts)
        # What a page will ask for
        _ = found.figure, found.interval, found.words, facts["test_users"], facts["baselines"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, DataError):
        return None
    return found


def _read(stored: StoredStudy, name: str) -> Mapping[str, Any]:
    """Return the content of one of a bundle's files.

    Raises:
        ValueError: it is not what the bundle's list of checksums says.
    """
    folder = stored.folder.best
    listed = json.loads((folder / "checksums.json").read_text("utf-8"))["files"]
    if listed[name] != sha256(folder / name):
        raise ValueError(f"{folder / name}: was changed after the export.")
    content: Mapping[str, Any] = json.loads((folder / name).read_text("utf-8"))
    return content
