"""Ledger of test evaluations: who opened the sealed test rows, when and why.

The ledger shows how often test data was looked at, so nobody should be able to remove a line without notice. Each line
holds a hash of itself and of the line before it, and the study's database remembers the last line (`Head`). The chain
of hashes reveals a change inside the file, the head one at its end.
"""

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
    """End of a ledger at some time, kept outside of it to notice later that lines at its end are missing."""

    lines: int
    hash: str  # of the last line
    # The last line without its hash, from which it can be written again; earlier versions did not keep it.
    last: Mapping[str, Any] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class LedgerContent:
    """Content of a ledger's file, divided where its chain of hashes breaks."""

    records: tuple[Record, ...]  # of the valid lines, each of which follows from the one before
    size: int  # bytes of the valid lines
    rest: bytes  # all bytes after them; empty if the ledger is whole

    @property
    def hash(self) -> str:
        """Hash of the last valid line, or FIRST if there is none."""
        return str(self.records[-1]["hash"]) if self.records else FIRST

    def holds(self, head: Head | None) -> bool:
        """Return whether all lines up to a head are there; True without a head."""
        if head is None:
            return True
        last = self.records[head.lines - 1 : head.lines]  # empty if the ledger is shorter
        return [record["hash"] for record in last] == [head.hash]


class Ledger:
    """Append-only file of JSON lines, one for each opening, with the hash of the line before it and its own.

    The file alone shows that a line inside it was changed, added or removed; a missing line at its end shows only in
    comparison with a head that was remembered elsewhere.

    Args:
        path: the file.
        known: a head that the ledger had before, if one was remembered.
        remember: called with the new head after each new line.
    """

    def __init__(
        self,
        path: Path,
        known: Head | None = None,
        remember: Callable[[Head], object] = lambda _: None,
    ) -> None:
        self.path = path
        self._known = known
        self._remember = remember

    def append(self, entry: Mapping[str, Any]) -> Head:
        """Append a line and force it to disk, or append nothing; processes take turns.

        Args:
            entry: plain data that JSON can hold: who opens the sealed rows, when and why.

        Returns:
            The new head of the ledger.

        Raises:
            DataError: the ledger is broken, so that no line can follow from its last one.
            OSError: the line cannot be written.
        """
        make_folder(self.path.parent)
        with self._locked() as descriptor:
            reading = self._read()
            self._require_whole(reading)
            record = _record(reading.hash, dict(entry))
            self._add(descriptor, record)
            return self._settle(len(reading.records) + 1, record)

    def entries(self) -> list[Record]:
        """Return all entries, oldest first.

        Raises:
            DataError: a line was changed, removed, added or cut; the message names the file and, if known, the line.
        """
        reading = self._read()
        self._require_whole(reading)
        return [record["entry"] for record in reading.records]

    def openings(self) -> list[Record]:
        """Return the entries that opened the test rows, oldest first; the others state plans (`contrasts`).

        Raises:
            DataError: as `entries` does.
        """
        return [entry for entry in self.entries() if "contrasts" not in entry]

    def holds(self, head: Head) -> bool:
        """Return whether the lines up to a head that was remembered are there, as they were."""
        return self._read().holds(head)

    def fault(self) -> str | None:
        """Return what is wrong with the ledger as a message for the user, or None if it is whole."""
        try:
            self.entries()
        except DataError as error:
            return str(error)
        return None

    def mend(self) -> str | None:
        """Repair what an interrupted write has left at the end of the file.

        The beginning of a line that was never finished is removed, for nothing was opened by it. If only the last line
        is damaged and the known head or the file still holds all of it, the line is written again.

        Returns:
            What was done, in words; None if there is nothing that can be repaired without losing a line.
        """
        if self._mendable(self._read()) is None:
            return None
        with self._locked() as descriptor:
            # Again, for another process may have repaired or appended meanwhile
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
        """Return the record to write after the valid lines, {} to only remove the rest, or None if neither is safe."""
        known, number = self._known, len(reading.records) + 1
        if b"\n" in reading.rest.removesuffix(b"\n"):  # more than one line is damaged
            return None

        # The last line is in the head that was remembered
        if known and known.last and known.lines == number:
            last = {**known.last, "hash": known.hash}
            return last if _follows(json.dumps(last), reading.hash) else None

        # The file holds all of the last line but for its line end; a power failure may leave zeros there
        rest = reading.rest.rstrip(b"\0")
        if b"\n" in rest or not rest or not reading.holds(known):
            return None
        if _follows(rest, reading.hash):
            return dict(json.loads(rest))

        # The rest is an unfinished line only if it begins as every line does
        begun = json.dumps({"previous": reading.hash, "entry": {}}).encode()[:-2]
        return {} if begun.startswith(rest) or rest.startswith(begun) else None

    def _require_whole(self, reading: LedgerContent) -> None:
        way_out = COPY
        if self._mendable(reading) is not None:
            way_out = " Nothing else is lost: `blade-tune doctor --fix` mends it."
        if reading.rest:
            raise DataError(
                f"{self.path}:{len(reading.records) + 1}: must hold the hash of the line before it and its own, and "
                f"does not: the ledger of test evaluations was edited or cut here or one line above.{way_out}"
            )
        if self._known and not reading.holds(self._known):
            raise DataError(
                f"{self.path}: must go on from the {self._known.lines} lines that the study's database knows of, and "
                f"has {len(reading.records)}: the ledger of test evaluations was cut or replaced, or --results is not "
                f"the study's.{way_out}"
            )

    def _read(self) -> LedgerContent:
        try:
            content = self.path.read_bytes() if self.path.exists() else b""
        except OSError as error:
            fact = f"the ledger of test evaluations cannot be read ({error.strerror})"
            raise DataError(f"{self.path}: {fact}.{COPY}") from None
        # Valid lines, up to the first that does not follow from the one before
        records: list[Record] = []
        previous, size = FIRST, 0
        for line in content.splitlines(keepends=True):
            if not line.endswith(b"\n") or not _follows(line, previous):
                break
            record = json.loads(line)
            records.append(record)
            previous = record["hash"]
            size += len(line)
        return LedgerContent(tuple(records), size, content[size:])

    def _add(self, descriptor: int, record: Record) -> None:
        try:
            append_line(descriptor, json.dumps(record).encode() + b"\n")
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from None

    def _settle(self, lines: int, record: Record) -> Head:
        last = {"previous": record["previous"], "entry": record["entry"]}
        head = Head(lines, record["hash"], last)
        self._remember(head)
        return head

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Yield a file descriptor that appends to the ledger, which one process at a time may hold."""
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except IsADirectoryError:
            raise DataError(
                f"{self.path}: must be a file, the ledger, and is a folder.{COPY}"
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)


def _record(previous: str, entry: Record) -> Record:
    """Return the content of a line: an entry, the hash of the line before, and the hash of both."""
    content = json.dumps([previous, entry], sort_keys=True)
    return {
        "previous": previous,
        "entry": entry,
        "hash": hashlib.sha256(content.encode()).hexdigest(),
    }


def _follows(line: bytes | str, previous: str) -> bool:
    """Return whether a line is a valid record that follows the line with the hash `previous`."""
    try:
        record = json.loads(line)
        return bool(record == _record(previous, record["entry"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
