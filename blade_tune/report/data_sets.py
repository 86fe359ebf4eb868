"""Data that studies can read as rows of plain data: sources, known logs, prepared logs, and what results hold."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blade_tune.data.raw.datasets import KNOWN_LOGS
from blade_tune.data.sources import SOURCES
from blade_tune.data.sources.split_files import read_preparation
from blade_tune.data.store import all_prepared
from blade_tune.errors import DataError, NothingStoredError
from blade_tune.registry import headline
from blade_tune.report import Row
from blade_tune.storage.connect import open_storage
from blade_tune.storage.overview import all_figures
from blade_tune.study.workspace import Workspace

MEGABYTE = 1e6
COLUMNS = ("kind", "name", "what", "users", "items", "interactions", "mb", "studies", "folder")
# Kinds of rows, in order
SOURCE, KNOWN, SPLIT, PREPARED = "source", "known log", "split files", "prepared"


def data_rows(workspace: Workspace, folder: Path) -> list[Row]:
    """Return a row for each thing of the four kinds; all rows have the same columns.

    Args:
        workspace: the database, whose studies give prepared data its name, and the results folder.
        folder: the folder in which `data prepare` puts logs.
    """
    rows = [
        *(_row(SOURCE, name, what=headline(SOURCES, name)) for name in SOURCES),
        *(_row(KNOWN, name, what=known.title) for name, known in KNOWN_LOGS.items()),
    ]
    for place in sorted(folder.glob("*/")):
        rows += _split_row(place)
    studies = _studies_by_hash(workspace)
    for prepared in all_prepared(workspace.results):
        readers = studies.get(prepared.data_hash, {})
        rows.append(
            _row(
                PREPARED,
                ", ".join(dict.fromkeys(filter(None, readers.values()))) or None,
                what=f"train and valid rows, hash {prepared.data_hash[:8]}",
                users=prepared.num_users,
                items=prepared.num_items,
                interactions=prepared.num_rows,
                mb=round(prepared.num_bytes / MEGABYTE, 2),
                studies=list(readers),
                folder=str(prepared.path),
            )
        )
    return rows


def _row(kind: str, name: str | None, **facts: Any) -> Row:
    return {**dict.fromkeys(COLUMNS), "kind": kind, "name": name, **facts}


def _split_row(place: Path) -> list[Row]:
    """Return the row of a folder that `data prepare` wrote, if it is one."""
    try:
        facts = read_preparation(place)
    except DataError:
        return []
    if "parts" not in facts:
        return []
    num_bytes = sum(file.stat().st_size for file in place.iterdir() if file.is_file())
    row = _row(
        SPLIT,
        str(facts.get("name", place.name)),
        what=f"a log, {facts.get('rows', 0):,} rows read",
        users=facts.get("users"),
        items=facts.get("items"),
        interactions=sum(facts["parts"].values()),
        mb=round(num_bytes / MEGABYTE, 2),
        folder=str(place),
    )
    return [row]


def _studies_by_hash(workspace: Workspace) -> Mapping[str, dict[str, str | None]]:
    """Return for each data hash the studies that were run on it, each with the name of its data."""
    try:
        storage = open_storage(workspace.url, create=False)
    except NothingStoredError:
        return {}
    found: dict[str, dict[str, str | None]] = {}
    for study in all_figures(storage, ("fingerprint", "definition"))[0]:
        data_hash = study.attributes.get("fingerprint", {}).get("data")
        if data_hash:
            name = study.attributes.get("definition", {}).get("data", {}).get("name")
            found.setdefault(data_hash, {})[study.name] = name
    return found
