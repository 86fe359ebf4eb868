"""The ledger of test evaluations: who opened the sealed rows, when and why, so that nobody can take a line away."""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blade_tune.errors import DataError
from blade_tune.files import append_line, make_folder

COPY = " Put a copy of it back."
FIRST = "0" * 64  # what stands in place of the hash of the line before the first

Record = dict[str, Any]


@dataclass(frozen=True)
class Head:
    """How far a ledger goes: its number of lines, and the hash of the last; and that line, so that it can be mended."""

    lines: int
    hash: str
    last: Mapping[str, Any] | None = field(default=None, compare=False)  # not known to an earlier version


@dataclass(frozen=True)
class LedgerContent:
    """What a ledger's file holds."""

    records: tuple[Record, ...]  # of the whole lines, each of which follows from the one before
    size: int  # bytes of these
    rest: bytes  # what stands behind them

    @property
    def hash(self) -> str:
        """Of the last whole line."""
        return str(self.records[-1]["hash"]) if self.records else FIRST

    def holds(self, head: Head | None) -> bool:
        """Whether all lines up to a head are there."""
        return head is None or [r["hash"] for r in self.records[head.lines - 1 : head.lines]] == [head.hash]


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
        """Add a line and have it on disk before returning it, or add nothing; processes take turns.

        Raises:
            DataError: the ledger is broken, so no line can go on from it.
            OSError: it cannot be written.
        """
        make_folder(self.path.parent)
        with self._locked() as descriptor:
            reading = self._read()
            self._require_whole(reading)
            record = _record(reading.hash, dict(entry))
            self._add(descriptor, record)
            return self._settle(len(reading.records) + 1, record)

    def entries(self) -> list[Record]:
        """All entries, oldest first.

        Raises:
            DataError: a line was changed, removed, added or cut; the message names file and line.
        """
        reading = self._read()
        self._require_whole(reading)
        return [record["entry"] for record in reading.records]

    def fault(self) -> str | None:
        """What is wrong with it, in words; None where it is whole."""
        try:
            self.entries()
        except DataError as error:
            return str(error)
        return None

    def mend(self) -> str | None:
        """Put right what an interrupted write has left; gives what was done, or None where nothing could be proven.

        The beginning of a line that the known head knows nothing of is removed. The last line, where nothing else is
        lost, is written again from the head.
        """
        if self._mendable(self._read()) is None:
            return None
        with self._locked() as descriptor:
            reading = self._read()
            last = self._mendable(reading)
            if last is None:
                return None
            os.ftruncate(descriptor, reading.size)
            if not last:
                return f"the beginning of a line that was never written whole, removed: {len(reading.rest)} bytes"
            self._add(descriptor, last)
            self._settle(len(reading.records) + 1, last)
            return f"line {len(reading.records) + 1} of the ledger, written again whole"

    def _mendable(self, reading: LedgerContent) -> Record | None:
        """The line that is to be written behind the whole ones, empty where none is; None where nothing is proven."""
        known, number, rest = self._known, len(reading.records) + 1, reading.rest.rstrip(b"\0")  # zeros of a power cut
        if b"\n" in reading.rest.removesuffix(b"\n"):
            return None
        if known and known.last and known.lines == number:
            last = {**known.last, "hash": known.hash}
            return last if _follows(json.dumps(last), reading.hash) else None
        if b"\n" in rest or not rest or not reading.holds(known):
            return None
        if _follows(rest, reading.hash):
            return dict(json.loads(rest))
        begun = json.dumps({"previous": reading.hash, "entry": {}}).encode()[:-2]
        return {} if begun.startswith(rest) or rest.startswith(begun) else None

    def _require_whole(self, reading: LedgerContent) -> None:
        cure = "" if self._mendable(reading) is None else " Nothing else is lost: `blade-tune doctor --fix` mends it."
        if reading.rest:
            raise DataError(
                f"{self.path}:{len(reading.records) + 1}: must hold the hash of the line before it and its own, and "
                f"does not: the ledger of test evaluations was edited or cut here or one line above.{cure or COPY}"
            )
        if self._known and not reading.holds(self._known):
            raise DataError(
                f"{self.path}: must go on from the {self._known.lines} lines that the study's database knows of, and "
                f"has {len(reading.records)}: the ledger of test evaluations was cut or replaced, or --results is not "
                f"the study's.{cure or COPY}"
            )

    def _read(self) -> LedgerContent:
        try:
            content = self.path.read_bytes() if self.path.exists() else b""
        except OSError as error:
            fact = f"the ledger of test evaluations cannot be read ({error.strerror})"
            raise DataError(f"{self.path}: {fact}.{COPY}") from None
        records: list[Record] = []
        size = 0
        for line in content.splitlines(keepends=True):
            if not line.endswith(b"\n") or not _follows(line, records[-1]["hash"] if records else FIRST):
                break
            records.append(json.loads(line))
            size += len(line)
        return LedgerContent(tuple(records), size, content[size:])

    def _add(self, descriptor: int, record: Record) -> None:
        try:
            append_line(descriptor, json.dumps(record).encode() + b"\n")
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from None

    def _settle(self, lines: int, record: Record) -> Head:
        head = Head(lines, record["hash"], {name: record[name] for name in ("previous", "entry")})
        self._remember(head)
        return head

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """A descriptor that appends, held by one process at a time."""
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except IsADirectoryError:
            raise DataError(f"{self.path}: must be a file, the ledger, and is a folder.{COPY}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)


def _record(previous: str, entry: Record) -> Record:
    """What a line says."""
    content = json.dumps([previous, entry], sort_keys=True)
    return {"previous": previous, "entry": entry, "hash": hashlib.sha256(content.encode()).hexdigest()}


def _follows(line: bytes | str, previous: str) -> bool:
    """Whether a line is a whole record behind the one of a hash."""
    try:
        record = json.loads(line)
        return bool(record == _record(previous, record["entry"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
