"""Log files of several formats as relations of the scratch database: CSV, TSV, JSON lines, Parquet and split files.

Every column is read as text, so that no format's guesses of types change an id or a time; `load` then interprets the
text in one place for all formats. Names and paths come from the user, so they enter SQL only by `quoted`, `literal` and
`_place`.
"""

import csv
import json
import mmap
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import duckdb

from blade_tune.config import guess
from blade_tune.data.raw.unpack import PlainFile
from blade_tune.errors import DataError

SEPARATORS = (",", "\t", ";", "|")
MAX_LINE_BYTES = 2**21
SHOWN = 1_000  # characters of the names of columns in an error
# A Parquet file with more rows than both allow was made to fill a disk
MAX_ROWS, ROWS_PER_BYTE = 10**8, 250
# Characters of the shortest number that a double may not hold: a point and 15 digits
MORE_DIGITS = 16
MISSING = ("", "\\N")  # texts that stand for a missing value
INT96 = 'STRUCT(date DATE, "time" TIME_NS)'  # how the database reads times of old Parquet files
DECIMAL_DIGITS = 38  # most digits of the database's decimals; longer ones are read as doubles
FRACTIONAL = ("FLOAT", "DOUBLE", "DECIMAL")

# (pattern of the database's message on a malformed file, our message)
Reasons = tuple[tuple[str, str], ...]


class LogFile(ABC):
    """A file of a log, to be read by a database.

    Args:
        file: where the file is, and its name in errors.
        database: the scratch database.
    """

    # Messages of the database on malformed files of this format, and ours in their place
    reasons: ClassVar[Reasons]

    def __init__(self, file: PlainFile, database: duckdb.DuckDBPyConnection) -> None:
        self.path, self.name = file.path, file.name
        self._database = database

    def relation(self, names: Sequence[str]) -> str:
        """Return SQL of a table of the named columns as text, in the order of the file, NULL for a missing value.

        Raises:
            DataError: a column is missing or there twice, or the file's header or schema cannot be read.
        """
        self._check(self.columns(), names)
        missing = ", ".join(map(literal, MISSING))
        texts, present = [], []
        for name in names:
            column = quoted(name)
            texts.append(f"{self._text(name)} AS {column}")
            present.append(f"CASE WHEN {column} NOT IN ({missing}) THEN {column} END AS {column}")
        as_text = f"(SELECT {', '.join(texts)} FROM {self._read(names)})"
        return f"(SELECT {', '.join(present)} FROM {as_text})"

    def _check(self, known: list[str], names: Sequence[str]) -> None:
        """Check that the file has each of the named columns once."""
        for name in names:
            if known.count(name) != 1:
                shown = ", ".join(known)
                if len(shown) > SHOWN:
                    shown = f"{shown[:SHOWN]}..."
                hint = "" if name in known else f" {guess(name, known)}"
                raise DataError(f"{self.name}: must have one column {name!r}, got {shown}.{hint}")

    @abstractmethod
    def columns(self) -> list[str]:
        """Return the names of all columns of the file."""

    @abstractmethod
    def _read(self, names: Sequence[str]) -> str:
        """Return SQL of the table as the database's reader returns it; `names` are the columns that will be used."""

    def _text(self, name: str) -> str:
        """Return SQL of one of the columns of `_read` as text."""
        return quoted(name)

    def keep_digits(self, fractional: Callable[[], Sequence[str]]) -> bool:  # noqa: ARG002 - most forms keep them
        """Make sure that no number is rounded when it is read, if the format's reader rounds some.

        Args:
            fractional: returns the columns that hold numbers with a fraction; called only if the format rounds those.

        Returns:
            Whether the relation has changed, so that it must be read again.
        """
        return False

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn a database error about the file into a DataError of one line, with the line of the file if known."""
        try:
            yield
        except duckdb.Error as error:
            message = str(error)
            line = re.search(r"(?:Error on Line: |in line )(\d+)", message)
            place = f"{self.name}:{line[1]}" if line else self.name
            for pattern, template in self.reasons:
                match = re.search(pattern, message)
                if match:
                    raise DataError(f"{place}: {match.expand(template)}.") from None
            raise DataError(f"{place}: cannot be read ({message.splitlines()[0]}).") from None


class CsvFile(LogFile):
    """A file of separated columns under a header; the separator is the one that divides the header most often."""

    reasons = (
        (r"unterminated quote", "a quote is opened and not closed, or closed inside a value"),
        (r"Expected Number of Columns: (\d+) Found: (\d+)", r"must hold \1 columns, got \2"),
        (r"Invalid unicode", "must be UTF-8 text"),
        (r"Maximum line size", "is longer than 2 MiB; is a quote not closed?"),
        (r"invalid state", "lines must all end the same way, and quotes be closed"),
    )

    def columns(self) -> list[str]:
        """Return the names in the header."""
        return self._header()[1]

    def _header(self) -> tuple[str, list[str]]:
        """Return the separator and the names of the columns."""
        with _decoding(self.name), self.path.open(encoding="utf-8-sig", newline="") as file:
            line = re.split(r"[\r\n]", file.readline(MAX_LINE_BYTES))[0]
        if not line:
            raise DataError(f"{self.name}:1: must be a header, got an empty line.")
        if len(line) == MAX_LINE_BYTES:
            raise DataError(f"{self.name}:1: is longer than 2 MiB; is a quote not closed?")
        headers = []
        try:
            for separator in SEPARATORS:
                names = next(csv.reader([line], delimiter=separator))
                headers.append((separator, names))
        except csv.Error as error:
            raise DataError(
                f"{self.name}:1: must be a header ({error}); is a quote not closed?"
            ) from None
        return max(headers, key=lambda header: len(header[1]))

    def _read(self, names: Sequence[str]) -> str:
        separator, header = self._header()
        return self._scan(separator, header, names, has_header=True)

    def _scan(
        self, separator: str, header: Sequence[str], names: Sequence[str], *, has_header: bool
    ) -> str:
        """Return SQL that reads the file; columns that are not used get unique names, for theirs may be duplicates."""
        unique = [name if name in names else f"{name} {k}" for k, name in enumerate(header)]
        columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in unique)
        return (
            f"read_csv({_place(self.path)}, auto_detect = false, columns = {{{columns}}}, header = {has_header}, "
            f"delim = {literal(separator)}, quote = '\"', escape = '\"', max_line_size = {MAX_LINE_BYTES})"
        )


class SplitFile(CsvFile):
    """A split file: lines `user,item,b_1,...,b_K` without a header, whose columns get the given names."""

    def __init__(
        self, file: PlainFile, database: duckdb.DuckDBPyConnection, names: Sequence[str]
    ) -> None:
        super().__init__(file, database)
        self._names = list(names)

    def columns(self) -> list[str]:
        """Return the given names."""
        return self._names

    def _read(self, names: Sequence[str]) -> str:
        return self._scan(",", self._names, names, has_header=False)


class JsonLinesFile(LogFile):
    """A file with one JSON object on each line."""

    reasons = (
        (r"Malformed JSON.*?: (.*?)\.?\s*$", r"must be JSON (\1)"),
        (r"but got (\w+)", r"must be a JSON object, got \1"),
        (r"has duplicate key \"([^\"]*)\"", r"must have each key once, got \1 twice"),
        (r"maximum_object_size", "an object is longer than 16 MiB; is a quote not closed?"),
    )

    def columns(self) -> list[str]:
        """Return the keys of the first object; later objects may have others."""
        with _decoding(self.name), self.path.open(encoding="utf-8-sig") as file:
            line = file.readline(MAX_LINE_BYTES)
        try:
            first = json.loads(line)
        except (ValueError, RecursionError) as error:  # a RecursionError if it is nested too deep
            raise DataError(f"{self.name}:1: must be a JSON object ({error}).") from None
        if not isinstance(first, dict):
            raise DataError(f"{self.name}:1: must be a JSON object, got {type(first).__name__}.")
        return list(first)

    def _check(self, known: list[str], names: Sequence[str]) -> None:
        """Check nothing: objects may lack keys, so the first one is no header; `load` notices a key that none has."""

    def _read(self, names: Sequence[str]) -> str:
        columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
        return (
            f"read_json({_place(self.path)}, format = 'newline_delimited', columns = {{{columns}}})"
        )

    def keep_digits(self, fractional: Callable[[], Sequence[str]]) -> bool:
        """Read a copy of the file in which long numbers are text, if the fractional columns have such numbers.

        The database reads a number with a fraction as a double, which is sure to keep 15 digits only.

        Args:
            fractional: returns the columns that hold numbers with a fraction.

        Returns:
            Whether there are long numbers, so that the relation must be read again from the copy.
        """
        names = fractional()
        if not names:
            return False

        # Look for a long number in one of these columns
        keys = rb"|".join(map(_key, names))
        number = re.compile(rb"((?:%s)\s*:\s*)(-?[0-9.eE+-]{%d,})" % (keys, MORE_DIGITS))
        with self.path.open("rb") as file:
            if not file.seek(0, os.SEEK_END):  # an empty file cannot be mapped
                return False
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                if number.search(content) is None:
                    return False

        # Write a copy next to the scratch database, with such numbers in quotes
        ((database,),) = self._database.execute(
            "SELECT path FROM duckdb_databases() WHERE NOT internal"
        ).fetchall()
        copy = Path(database).with_name("exact.jsonl")
        with self.path.open("rb") as file, copy.open("wb") as written:
            written.writelines(number.sub(rb'\1"\2"', line) for line in file)
        self.path = copy
        return True


class ParquetFile(LogFile):
    """A Parquet file; a value without a fraction is read as a whole number, whatever its column's type."""

    reasons = (
        (
            r"magic bytes|[Ff]ooter|metadata|[Tt]hrift|[Cc]orrupt|[Dd]ecompress",
            "is no whole Parquet file",
        ),
    )

    def columns(self) -> list[str]:
        """Return the names in the schema."""
        return list(self._types())

    def _check(self, known: list[str], names: Sequence[str]) -> None:
        super()._check(known, names)
        with self.explained():
            path = _place(self.path)
            counted = f"SELECT sum(num_rows) FROM parquet_file_metadata({path})"
            ((num_rows,),) = self._database.execute(counted).fetchall()
            long = f"SELECT name, precision FROM parquet_schema({path}) WHERE precision > {DECIMAL_DIGITS}"
            digits_of_long = dict(self._database.execute(long).fetchall())

        size = self.path.stat().st_size
        if num_rows > max(MAX_ROWS, ROWS_PER_BYTE * size):
            raise DataError(
                f"{self.name}: must have at most {ROWS_PER_BYTE} rows a byte, got {num_rows:,} rows in {size:,} bytes; "
                "write it as CSV where that is meant."
            )
        for name in names:
            if name in digits_of_long:
                raise DataError(
                    f"{self.name}: {name} must have at most {DECIMAL_DIGITS} digits, for more are rounded when they "
                    f"are read, got decimals of {digits_of_long[name]}; write it as text."
                )

    def _types(self) -> dict[str, str]:
        with self.explained():
            described = self._database.execute(f"DESCRIBE SELECT * FROM {self._read(())}")
            rows = described.fetchall()
        return {name: kind for name, kind, *_ in rows}

    def _read(self, names: Sequence[str]) -> str:  # noqa: ARG002 - it reads what is asked of it only
        # Times that are read as a struct keep their nanoseconds.
        return f"read_parquet({_place(self.path)}, int96_as = 'struct')"

    def _text(self, name: str) -> str:
        column, kind = quoted(name), self._types()[name]
        if kind == INT96:
            return f"{column}.date::VARCHAR || ' ' || {column}.time::VARCHAR"
        if not kind.startswith(FRACTIONAL):
            return f"{column}::VARCHAR"
        # A number without a fraction, if it fits the database's largest integers
        fits = f"isfinite({column}::DOUBLE) AND abs({column}::DOUBLE) < 1e38"
        is_whole = f"{fits} AND {column} = trunc({column})"
        return f"CASE WHEN {is_whole} THEN {column}::HUGEINT::VARCHAR ELSE {column}::VARCHAR END"


FORMS: dict[str, Callable[[PlainFile, duckdb.DuckDBPyConnection], LogFile]] = {
    ".csv": CsvFile,
    ".tsv": CsvFile,
    ".jsonl": JsonLinesFile,
    ".ndjson": JsonLinesFile,
    ".parquet": ParquetFile,
}


def open_log(
    file: PlainFile, database: duckdb.DuckDBPyConnection, split_names: Sequence[str] = ()
) -> LogFile:
    """Return the log file of the class that reads files with its suffix.

    Args:
        file: where the file is, and its name in errors.
        database: the scratch database.
        split_names: names of the columns if a .txt file is a split file; without them, .txt is an unknown suffix.

    Raises:
        DataError: the suffix is unknown.
    """
    suffix = file.path.suffix.lower()
    if suffix == ".txt" and split_names:
        return SplitFile(file, database, split_names)
    if suffix not in FORMS:
        known = ", ".join([*FORMS, ".txt"] if split_names else FORMS)
        raise DataError(
            f"{file.name}: must end in one of {known} (also .gz, .zst, or in a .zip), got {suffix or 'nothing'}."
        )
    return FORMS[suffix](file, database)


def _key(name: str) -> bytes:
    r"""Return a regular expression for a key of a JSON object, in which each character may be escaped as \uXXXX."""

    def either(character: str) -> bytes:
        # A character beyond U+FFFF is escaped as two units of UTF-16
        encoded = character.encode("utf-16-be")
        units = [int.from_bytes(encoded[k : k + 2]) for k in range(0, len(encoded), 2)]
        escaped = b"".join(rb"\\u(?i:%04x)" % unit for unit in units)
        return b"(?:%s|%s)" % (re.escape(character.encode()), escaped)

    return b'"%s"' % b"".join(map(either, name))


def quoted(name: str) -> str:
    """Return a name quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def _place(path: Path) -> str:
    """Return a path as an SQL literal; *, ? and [ are escaped, for the database would match other files by them."""
    return literal(re.sub(r"[*?\[]", r"[\g<0>]", str(path)))


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError:
        raise DataError(f"{name}:1: must be UTF-8 text.") from None
