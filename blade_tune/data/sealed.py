"""Sealed data: between and test rows, opened only with a line in a ledger."""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from blade_tune.data import digest, folder
from blade_tune.data.numbering import Numbering
from blade_tune.data.sequences import Windows, windows
from blade_tune.data.sources.base import Source, open_source
from blade_tune.data.store import SearchData, number_parts, stored_part
from blade_tune.data.table import Part
from blade_tune.errors import DataError

FIRST = "0" * 64  # what stands in place of the hash of the line before the first


@dataclass(frozen=True)
class Head:
    """How far a ledger goes: its number of lines, and the hash of the last."""

    lines: int
    hash: str


class Ledger:
    """An append-only file of JSON lines, one an opening; each holds the hash of the line before it, and its own.

    A changed, added or missing line inside it is noticed by the file alone; one missing at its end by whoever remembers
    its head.

    Args:
        path: the file.
        known: a head that it had before.
        remember: is told the head after each new line.
    """

    def __init__(
        self, path: Path, known: Head | None = None, remember: Callable[[Head], object] = lambda _: None
    ) -> None:
        self.path = path
        self._known = known
        self._remember = remember

    def append(self, entry: Mapping[str, Any]) -> Head:
        """Add a line and have it on disk before returning it; processes take turns.

        Raises:
            DataError: the ledger is broken, so no line can go on from it.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(self.path) as descriptor:
            hashes = [record["hash"] for record in self._verified()]
            record = _record(hashes[-1] if hashes else FIRST, dict(entry))
            os.write(descriptor, json.dumps(record).encode() + b"\n")
            os.fsync(descriptor)
            head = Head(len(hashes) + 1, record["hash"])
            self._remember(head)
            return head

    def entries(self) -> list[dict[str, Any]]:
        """All entries, oldest first.

        Raises:
            DataError: a line was changed, removed, added or cut; the message names file and line.
        """
        return [record["entry"] for record in self._verified()]

    def _verified(self) -> list[dict[str, Any]]:
        lines = self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else []
        records: list[dict[str, Any]] = []
        for number, line in enumerate(lines, start=1):
            previous = records[-1]["hash"] if records else FIRST
            try:
                record = json.loads(line)
                whole = line.endswith(b"\n") and record == _record(previous, record["entry"])
            except (ValueError, TypeError, KeyError):
                whole = False
            if not whole:
                raise DataError(
                    f"{self.path}:{number}: must hold the hash of the line before it and its own, and does not: the "
                    "ledger of test evaluations was edited or cut here or one line above."
                )
            records.append(record)
        known = self._known
        if known and [record["hash"] for record in records][known.lines - 1 : known.lines] != [known.hash]:
            raise DataError(
                f"{self.path}: must go on from the {known.lines} lines that the study's database knows of, and has "
                f"{len(records)}: the ledger of test evaluations was cut or replaced, or --results is not the study's."
            )
        return records


def _record(previous: str, entry: dict[str, Any]) -> dict[str, Any]:
    """What a line says."""
    content = json.dumps([previous, entry], sort_keys=True)
    return {"previous": previous, "entry": entry, "hash": hashlib.sha256(content.encode()).hexdigest()}


@dataclass(frozen=True)
class SealedData:
    """Between and test of a data set, numbered as its train; memory-mapped."""

    search: SearchData
    between: Part
    test: Part
    data_hash: str
    dropped: dict[str, int]  # rows of between and test that were left out, by part and reason
    opening: Head | None = None  # the line of the ledger that it was opened by

    def windows(self, max_length: int) -> Windows:
        """One row a user; the last target of a user with a test row is that row."""
        parts = [self.search.train, self.search.valid, self.between, self.test]
        return windows(parts, self.search.num_users, max_length)


def open_for_evaluation(
    search: SearchData, directory: Path | None, ledger: Ledger, entry: Mapping[str, Any]
) -> SealedData:
    """Write down that the test rows are evaluated on, then open them.

    Args:
        search: the prepared data that a model was chosen on.
        directory: where the files are, as for `prepare`.
        ledger: where the line goes, before anything is opened.
        entry: who opens and why: study, trial, seed, when, command.

    Raises:
        DataError: the ledger is broken, files are missing or malformed, or train and valid changed since `search`.
    """
    source = _same_source(search, directory)
    opening = ledger.append(entry)
    return replace(_open(search, source), opening=opening)


def count_sealed(search: SearchData, directory: Path | None) -> dict[str, int]:
    """How many rows between and test hold; shows none of them, so it writes no line."""
    sealed = _open(search, _same_source(search, directory))
    return {"between": len(sealed.between), "test": len(sealed.test)}


def _same_source(search: SearchData, directory: Path | None) -> Source:
    source = open_source(search.config, directory)
    if source.search_key() != search.path.name:
        raise DataError(f"{directory}: must hold the train and valid data that were prepared, and they have changed.")
    return source


def _open(search: SearchData, source: Source) -> SealedData:
    """Map the sealed store, building it first where this content was never prepared; its rows are checked each time."""
    path = search.path.parent.parent / ".sealed" / digest.key(search=search.path.name, sealed=source.sealed_key())
    folder.keep_private(path.parent)
    if not folder.has_checksums(path):
        between, test = source.sealed()
        numbering = Numbering(search.user_ids_U, search.item_ids_V)
        arrays, dropped = number_parts(numbering, between=between, test=test)
        data_hash = digest.content_hash(arrays, search=search.data_hash)
        folder.write(path, arrays, {"data_hash": data_hash, "dropped": dropped}, is_private=True)
    arrays, facts = folder.read(path, anew=True)
    if digest.content_hash(arrays, search=search.data_hash) != facts["data_hash"]:
        raise DataError(f"{path}: must hold the rows of hash {facts['data_hash']}, and does not; delete this folder.")
    return SealedData(search, stored_part(arrays, "between"), stored_part(arrays, "test"), **facts)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """A descriptor that appends, held by one process at a time."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
