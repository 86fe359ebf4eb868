"""Source of published split files, as EIDP and BLADE use them: lines `user,item,b_1,...,b_K` without a header.

Files that `data prepare` wrote have the same form. Next to them are the ids behind their numbers and
`preparation.json`, against which their content and the meaning of their columns are checked.
"""

import csv
import hashlib
import io
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from blade_tune.catalog import Interactions
from blade_tune.data import digest
from blade_tune.data.auxiliary import auxiliaries
from blade_tune.data.cells import text_of
from blade_tune.data.config import DataConfig
from blade_tune.data.origins import commands_of
from blade_tune.data.raw.datasets import KNOWN_LOGS
from blade_tune.data.reference_statistics import PUBLISHED
from blade_tune.data.sources.base import Source
from blade_tune.errors import DataError, MissingDataError

FILES = {
    "train": "train.txt",
    "valid": "valid.txt",
    "between": "between_val_test.txt",
    "test": "test.txt",
}
# Next to files that `data prepare` wrote: the id behind each number
IDS = {"user": "users.csv", "item": "items.csv"}
# How ids are written: as `blade_tune.data.cells` guards them; earlier versions did not guard them
GUARDED = "guarded"
PREPARATION = "preparation.json"  # how `data prepare` made the files
MAX_DIGITS = 18  # all numbers of so many digits fit into an int64


class SplitFiles(Source):
    """Source of four split files in a directory, or in a folder of the data set's name in that directory."""

    Config: ClassVar[type[DataConfig]] = DataConfig

    def __init__(self, config: DataConfig, directory: Path | None) -> None:
        self._config = config
        self._directory = directory

    def search_key(self) -> str:
        """Return a hash of the bytes of train and valid, and of the behaviors' names."""
        return self._key("train", "valid")

    def sealed_key(self) -> str:
        """Return a hash of the bytes of between and test, and of the behaviors' names."""
        return self._key("between", "test")

    def search(self) -> tuple[Interactions, Interactions]:
        """Return the rows of the files of train and valid."""
        return self._rows("train"), self._single_rows("valid")

    def sealed(self) -> tuple[Interactions, Interactions]:
        """Return the rows of the files of between and test."""
        return self._rows("between"), self._single_rows("test")

    def origin(self) -> Mapping[str, Any]:
        """Return what `data prepare` recorded; for files from elsewhere, the license of the data set of this name."""
        if facts := read_preparation(self._path("train").parent):
            return facts
        name = self._config.name
        return {"license": KNOWN_LOGS[name].license} if name in PUBLISHED else {}

    def folder(self) -> Path:
        """Return the folder of the files; a DataError says how to get them if there are none."""
        return self._path("train").parent

    def commands(self) -> Sequence[str]:
        """Return the commands of `data prepare` that made the files; empty for files from elsewhere."""
        return commands_of(read_preparation(self.folder()), self.folder())

    def original_ids(self) -> Mapping[str, Sequence[str]]:
        """Return the ids that `data prepare` wrote, after a check of their files; empty for files from elsewhere.

        Exported models translate between these ids and their own numbers, so a changed file would name wrong items.
        """
        folder = self._path("train").parent
        checksums = self.origin().get("sha256", {})
        ids = {}
        for kind, file in IDS.items():
            if file in checksums:
                ids[kind] = self._ids(folder / file, checksums[file])
        return ids

    def _ids(self, path: Path, checksum: str) -> list[str]:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
        if hashlib.sha256(content).hexdigest() != checksum:
            raise DataError(
                f"{path}: must be as `data prepare` wrote it, and was changed; prepare the data again."
            )
        lines = csv.reader(io.StringIO(content.decode("utf-8"), newline=""))
        rows = list(lines)[1:]  # without the header
        cells = [cell for _, cell in rows]
        if self.origin().get("ids") != GUARDED:
            return cells
        return [text_of(cell) for cell in cells]

    def _key(self, *parts: str) -> str:
        hashes = {part: hashlib.sha256(self._read(part)).hexdigest() for part in parts}
        self._compare(hashes)
        return digest.key(
            source="split_files",
            behaviors=self._config.behaviors,
            auxiliary=self._config.auxiliary,
            **hashes,
        )

    def _compare(self, hashes: Mapping[str, str]) -> None:
        """Check the meaning of columns and the files' hashes against what `data prepare` recorded, if it did."""
        origin, folder = self.origin(), self._path("train").parent
        # The meaning of the columns
        read_with = {"behaviors": self._config.behaviors, "auxiliary": self._config.auxiliary}
        for name, value in read_with.items():
            before = {**origin, **origin.get("log", {})}.get(name, value)
            if auxiliaries(before) != auxiliaries(value):
                raise DataError(
                    f"{folder}: was prepared with {name} {_listed(before)}, and is read with {_listed(value)}; "
                    "correct `data` in the study's file, or prepare the log again as the study says."
                )

        # The content of the files
        checksums = origin.get("sha256", {})
        for part, checksum in hashes.items():
            if checksums.get(FILES[part], checksum) != checksum:
                raise DataError(
                    f"{folder / FILES[part]}: must be as `data prepare` wrote it, and was changed; prepare the data "
                    f"again, or remove {PREPARATION} where the change is meant."
                )

    def _path(self, part: str) -> Path:
        """Return the path of a part's file; a DataError says where to get the files if there are none."""
        if self._directory is None:
            raise MissingDataError(
                f"{self._config.name}: needs a directory of split files", self._way_out()
            )
        for directory in (self._directory, self._directory / self._config.name):
            if (directory / FILES["train"]).is_file():
                return directory / FILES[part]
        raise MissingDataError(
            f"{self._directory}: must hold {FILES['train']}, itself or in a folder {self._config.name}, and does not",
            self._way_out(),
        )

    def _way_out(self) -> str:
        """Return how to get the files: those that were published, the owner's log, or one's own."""
        config = self._config
        name, place = config.name, self._directory or Path("data") / config.name
        named = (
            f"name the directory of its split files ({', '.join(FILES.values())}) with --data DIR or BLADE_TUNE_DATA. "
            "`blade-tune run --study demo` needs no data."
        )
        if name in PUBLISHED:
            return (
                f"get the published split files of {name}, part of the EIDP (KDD'24) release and derived from Tenrec "
                f"or KuaiSAR (see the paper), or make others of its owner's log (`blade-tune data get {name}` and "
                f"`blade-tune data prepare {name} --source ARCHIVE --out {place}`), and {named}"
            )
        if name in KNOWN_LOGS:
            return (
                f"prepare its owner's log ({KNOWN_LOGS[name].page}; `blade-tune data prepare {name} --source ARCHIVE "
                f"--out {place}`), or {named}"
            )
        behaviors = shlex.quote(",".join(config.behaviors))
        auxiliary = shlex.quote(",".join(auxiliaries(config.auxiliary)))
        return (
            "prepare the log (`blade-tune data prepare event-log --source FILE --user COLUMN --item COLUMN --behaviors "
            f"{behaviors} --auxiliary {auxiliary} --name {name} --out {place}`), or {named}"
        )

    def _read(self, part: str) -> bytes:
        path = self._path(part)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise MissingDataError(f"{path}: is missing", self._way_out()) from None
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}).") from None

    def _rows(self, part: str) -> Interactions:
        rows = parse_rows(self._read(part), self._config.behaviors, str(self._path(part)))
        # A data set may have no rows between valid and test
        if part != "between" and not len(rows):
            raise DataError(f"{self._path(part)}:1: must hold at least one row, got an empty file.")
        return rows

    def _single_rows(self, part: str) -> Interactions:
        """Return the rows of a part in which a user may have at most one; rows without a behavior do not count."""
        rows = self._rows(part)
        lines = 1 + np.flatnonzero(rows.nonempty_N)  # numbers of lines in the file, from 1
        users = rows.users_N[lines - 1]
        # For each row, the first row of its user
        _, first_of_user, user = np.unique(users, return_index=True, return_inverse=True)
        first = first_of_user[user]
        repeated = np.flatnonzero(first != np.arange(len(users)))
        if len(repeated):
            second = repeated[0]
            raise DataError(
                f"{self._path(part)}:{lines[second]}: a user must have at most one row, got another one of user "
                f"{users[second]} (the first is in line {lines[first[second]]})."
            )
        return rows


def read_preparation(folder: Path) -> dict[str, Any]:
    """Return what `data prepare` recorded in a folder; empty if the files come from elsewhere.

    Raises:
        DataError: the record cannot be read, or was changed.
    """
    path = folder / PREPARATION
    if not path.is_file():
        return {}
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read ({error}); prepare the data again.") from None
    is_record = isinstance(facts, dict)
    for name in ("log", "sha256"):
        is_record = is_record and isinstance(facts.get(name, {}), dict)
    if not is_record:
        raise DataError(
            f"{path}: must be as `data prepare` wrote it, and was changed; prepare the data again."
        )
    return facts


def _listed(names: Any) -> str:
    return ",".join(map(str, auxiliaries(names))) or "none"


def parse_rows(raw: bytes, behaviors: tuple[str, ...], place: str) -> Interactions:
    """Parse the content of a split file; lines may end in LF or CRLF, and empty lines at the end are ignored.

    Args:
        raw: content of the file.
        behaviors: names of the columns after user and item.
        place: name of the file in an error.

    Raises:
        DataError: a line is malformed; the message names the first such line.
    """
    text = raw.replace(b"\r\n", b"\n").rstrip(b"\n")
    columns = ("user", "item", *behaviors)
    table: NDArray[np.int64] | None = np.empty((0, len(columns)), np.int64)
    if text:
        table = _numbers(text + b"\n", len(columns))
    # The fast reading only says that something is wrong; the slow one then finds the line.
    if table is None or (table[:, :2] < 1).any() or (table[:, 2:] > 1).any():
        raise DataError(f"{place}:{_first_fault(text, columns)}")
    return Interactions(
        users_N=table[:, 0].copy(),
        items_N=table[:, 1].copy(),
        sets_NK=table[:, 2:].astype(np.uint8),
    )


def _numbers(text: bytes, num_columns: int) -> NDArray[np.int64] | None:
    """Parse a table of whole numbers, a line a row; None if it has any other byte or another number of columns.

    NumPy works on all bytes at once, which is far faster than a parser of lines and accepts nothing but digits.
    """
    bytes_N = np.frombuffer(text, np.uint8)
    digits_N = bytes_N - ord("0")  # wraps round below "0", so that anything but a digit is above 9
    ends = np.flatnonzero((bytes_N == ord(",")) | (bytes_N == ord("\n")))
    widths = np.diff(ends, prepend=-1) - 1

    # Only digits, commas and line ends; numbers of 1 to MAX_DIGITS digits; lines of `num_columns` numbers
    num_digits = np.count_nonzero(digits_N <= 9)
    if len(ends) % num_columns or num_digits + len(ends) < len(bytes_N):
        return None
    if widths.min() < 1 or widths.max() > MAX_DIGITS:
        return None
    line_ends = (bytes_N[ends] == ord("\n")).reshape(-1, num_columns)
    if line_ends[:, :-1].any() or not line_ends[:, -1].all():
        return None

    # Add up the digits of all numbers at once: first those of the ones, then those of the tens, ...
    values = np.zeros(len(ends), np.int64)
    for place in range(widths.max()):
        wide = np.flatnonzero(widths > place)
        values[wide] += digits_N[ends[wide] - 1 - place].astype(np.int64) * 10**place
    return values.reshape(-1, num_columns)


def _first_fault(text: bytes, columns: tuple[str, ...]) -> str:
    """Return the line number and the problem of the first bad line; slow, for files that are known to have one."""
    for number, line in enumerate(text.split(b"\n"), start=1):
        if not line.isascii():
            byte = next(byte for byte in line if byte > 127)
            return f"{number}: must be plain ASCII text, got the byte 0x{byte:02x}."
        fields = line.decode("ascii").split(",") if line else []
        if len(fields) != len(columns):
            return f"{number}: must hold {len(columns)} columns ({', '.join(columns)}), got {len(fields)}."
        for position, (column, field) in enumerate(zip(columns, fields, strict=True)):
            is_id = position < 2  # of a user or an item
            if not (_is_id(field) if is_id else _is_flag(field)):
                expected = "a whole number from 1 on" if is_id else "0 or 1"
                shown = field if len(field) <= 30 else f"{field[:30]}..."
                return f"{number}: {column} must be {expected}, got {shown!r}."
    raise AssertionError("the fast and the slow reading of a split file must agree")


def _is_id(field: str) -> bool:
    return _is_number(field) and int(field) >= 1


def _is_flag(field: str) -> bool:
    return _is_number(field) and int(field) <= 1


def _is_number(field: str) -> bool:
    return 1 <= len(field) <= MAX_DIGITS and field.isdigit()
