"""Log files as relations of the scratch database, whatever their form; `forms` has the class of each form.

Every column is read as text, so that no format's guesses of types change an id or a time; `load` then interprets the
text in one place for all formats. Names and paths come from the user, so they enter SQL only by `quoted`, `literal` and
`place`.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, NamedTuple

import duckdb

from blade_tune.config import guess
from blade_tune.data.raw.settings import LogFormat
from blade_tune.data.raw.unpack import PlainFile
from blade_tune.errors import DataError

MAX_LINE_BYTES = 2**21
SHOWN = 1_000  # characters of the names of columns in an error
# Texts that programs write for a missing value, in any column
MISSING = ("", "\\N", "NA", "N/A", "NULL", "null", "None", "-")
UTF_8 = "UTF-8 text; name another encoding with --encoding"

# (pattern of the database's message on a malformed file, our message)
Reasons = tuple[tuple[str, str], ...]


class Nested(NamedTuple):
    """A value of a log that is an object or a list."""

    row: int  # number from 0 on
    column: str
    text: str


class LogFile(ABC):
    """A file of a log, to be read by a database.

    Args:
        file: where the file is, and its name in errors.
        database: the scratch database.
        form: what its columns mean.
    """

    # Messages of the database on malformed files of this format, and ours in their place
    reasons: ClassVar[Reasons]
    # Whether a column may be missing in some rows, so that only all rows tell whether it is one
    is_sparse: ClassVar[bool] = False

    def __init__(
        self, file: PlainFile, database: duckdb.DuckDBPyConnection, form: LogFormat
    ) -> None:
        self.form = form
        self.path, self.name = file.path, file.name
        self._partition = file.partition
        self._database = database

    def relation(self, names: Sequence[str]) -> str:
        """Return SQL of a table of the named columns as text, in the order of the file, NULL for a missing value.

        Raises:
            DataError: a column is missing or there twice, or the file's header or schema cannot be read.
        """
        known = self.columns()
        of_folder = {name: value for name, value in self._partition.items() if name not in known}
        read = [name for name in names if name not in of_folder]
        self._check([*known, *of_folder], names)
        texts, present = [], []
        for name in names:
            column = quoted(name)
            text = self._text(name) if name in read else literal(of_folder[name])
            texts.append(f"{text} AS {column}")
            present.append(f"{_present(column)} AS {column}")
        as_text = f"(SELECT {', '.join(texts)} FROM {self._read(read)})"
        return f"(SELECT {', '.join(present)} FROM {as_text})"

    def _check(self, known: list[str], names: Sequence[str]) -> None:
        """Check that the file has each of the named columns once."""
        for name in names:
            if known.count(name) != 1:
                shown = ", ".join(known)
                if len(shown) > SHOWN:
                    shown = f"{shown[:SHOWN]}..."
                hint = "" if name in known else f" {guess(name, known)}"
                if not set(known) & set(names):
                    hint += " Where the first line is a row, name all columns with --header."
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

    def nested(self, names: Sequence[str]) -> Nested | None:  # noqa: ARG002 - most forms have none
        """Return the first value of the named columns that is an object or a list, if the form has such values."""
        return None

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn a database error about the file into a DataError of one line, with the line of the file if known."""
        try:
            yield
        except duckdb.Error as error:
            message = str(error)
            line = re.search(r"(?:Error on Line: |in line |in record/value )(\d+)", message)
            place = f"{self.name}:{line[1]}" if line else self.name
            for pattern, template in self.reasons:
                match = re.search(pattern, message)
                if match:
                    raise DataError(f"{place}: {match.expand(template)}.") from None
            raise DataError(f"{place}: cannot be read ({message.splitlines()[0]}).") from None


def _present(column: str) -> str:
    """Return SQL of a column of text with NULL for a missing value."""
    # Two comparisons are enough for numbers, which stand between all of the missing values
    is_number = f"{column} > '-' AND {column} < 'N'"
    return f"CASE WHEN {is_number} THEN {column} {cases(column, dict.fromkeys(MISSING, 'NULL'))} ELSE {column} END"


def cases(column: str, results: Mapping[str, str]) -> str:
    """Return the branches of an SQL CASE on a column's texts.

    Unlike IN with a list, which the database makes a join if the list is long, they keep the order of rows.

    Args:
        column: SQL of the column.
        results: a text -> SQL of the result.
    """
    return " ".join(f"WHEN {column} = {literal(text)} THEN {sql}" for text, sql in results.items())


def quoted(name: str) -> str:
    """Return a name quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def place(path: Path) -> str:
    """Return a path as an SQL literal; *, ? and [ are escaped, for the database would match other files by them."""
    return literal(re.sub(r"[*?\[]", r"[\g<0>]", str(path)))


def folder_of(database: duckdb.DuckDBPyConnection) -> Path:
    """Return the folder of the scratch database, where copies of files may be written."""
    ((path,),) = database.execute(
        "SELECT path FROM duckdb_databases() WHERE NOT internal"
    ).fetchall()
    return Path(path).parent


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Turn the error on a first line that is no text into a DataError."""
    try:
        yield
    except UnicodeDecodeError:
        raise DataError(f"{name}:1: must be {UTF_8}.") from None
