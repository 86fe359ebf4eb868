"""Log files of separated columns: CSV, TSV, text files of other separators, and RecBole's `.inter`."""

import csv
import re
from collections.abc import Sequence
from typing import ClassVar

import duckdb

from blade_tune.data.raw.files import (
    MAX_LINE_BYTES,
    UTF_8,
    LogFile,
    Reasons,
    decoding,
    literal,
    place,
)
from blade_tune.data.raw.settings import LogFormat
from blade_tune.data.raw.unpack import PlainFile
from blade_tune.errors import DataError

SEPARATORS = (",", "\t", ";", "|")
# Tried where none of the others divides the first line: MovieLens's, and a blank
LAST_SEPARATORS = ("::", " ")
TYPED = re.compile(
    r"(.+):(?:token|token_seq|float|float_seq)"
)  # a column's name in a file of RecBole


class CsvFile(LogFile):
    """A file of separated columns; the separator is the one that divides the first line most often.

    Args:
        file: where the file is, and its name in errors.
        database: the scratch database.
        form: what its columns mean.
        header: names of all columns, if the file has no header.
    """

    reasons: ClassVar[Reasons] = (
        (r"unterminated quote", "a quote is opened and not closed, or closed inside a value"),
        (r"Expected Number of Columns: (\d+) Found: (\d+)", r"must hold \1 columns, got \2"),
        (r"Invalid unicode", f"must be {UTF_8}"),
        (r"Maximum line size", "is longer than 2 MiB; is a quote not closed?"),
        (r"invalid state", "lines must all end the same way, and quotes be closed"),
    )

    def __init__(
        self,
        file: PlainFile,
        database: duckdb.DuckDBPyConnection,
        form: LogFormat,
        header: Sequence[str] = (),
    ) -> None:
        super().__init__(file, database, form)
        self._given = list(header)

    def columns(self) -> list[str]:
        """Return the names in the header, or those that were given in its place."""
        return self._given or self._names(self._first_line()[1])

    def _names(self, cells: list[str]) -> list[str]:
        return cells

    def _first_line(self) -> tuple[str, list[str]]:
        """Return the separator and the cells of the first line."""
        expected = "a row" if self._given else "a header"
        with decoding(self.name), self.path.open(encoding="utf-8-sig", newline="") as file:
            line = re.split(r"[\r\n]", file.readline(MAX_LINE_BYTES))[0]
        if not line:
            raise DataError(f"{self.name}:1: must be {expected}, got an empty line.")
        if len(line) == MAX_LINE_BYTES:
            raise DataError(f"{self.name}:1: is longer than 2 MiB; is a quote not closed?")
        try:
            return divided(line, quotes=self.form.quotes, num_columns=len(self._given))
        except csv.Error as error:
            raise DataError(
                f"{self.name}:1: must be {expected} ({error}); is a quote not closed?"
            ) from None

    def _read(self, names: Sequence[str]) -> str:
        separator, cells = self._first_line()
        header = self._given or self._names(cells)
        if self._given:
            self._check_given(separator, cells)
        # Columns that are not used get unique names, for theirs may be duplicates
        unique = [name if name in names else f"{name} {k}" for k, name in enumerate(header)]
        columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in unique)
        quote = '"' if self.form.quotes else ""
        return (
            f"read_csv({place(self.path)}, auto_detect = false, columns = {{{columns}}}, "
            f"header = {not self._given}, delim = {literal(separator)}, quote = '{quote}', escape = '{quote}', "
            f"max_line_size = {MAX_LINE_BYTES})"
        )

    def _check_given(self, separator: str, cells: list[str]) -> None:
        if cells == self._given:
            raise DataError(f"{self.name}:1: is a header already; leave --header out.")
        if len(cells) != len(self._given):
            raise DataError(
                f"{self.name}:1: must hold {len(self._given)} columns, as many as --header names, got {len(cells)} "
                f"separated by {separator!r}."
            )


class InterFile(CsvFile):
    """A file of RecBole, whose header names columns with their types: `user_id:token`."""

    def _names(self, cells: list[str]) -> list[str]:
        return untyped(cells)


def untyped(cells: Sequence[str]) -> list[str]:
    """Return the names of columns in the header of a file of RecBole."""
    typed = [TYPED.fullmatch(cell) for cell in cells]
    return [match[1] if match else cell for match, cell in zip(typed, cells, strict=True)]


def divided(line: str, *, quotes: bool = True, num_columns: int = 0) -> tuple[str, list[str]]:
    """Return the separator that divides the first line of a file most often, and the line's cells.

    Args:
        line: the line.
        quotes: whether quotes mean anything.
        num_columns: the number of columns where it is known; a separator that makes as many goes first.

    Raises:
        csv.Error: the line cannot be divided.
    """
    readings = [(mark, _cells(line, mark, quotes)) for mark in (*SEPARATORS, *LAST_SEPARATORS)]
    for reading in readings:
        if len(reading[1]) == num_columns:
            return reading
    first = readings[: len(SEPARATORS)]
    best = max(first, key=lambda reading: len(reading[1]))
    if len(best[1]) > 1:
        return best
    return next((reading for reading in readings if len(reading[1]) > 1), best)


def _cells(line: str, separator: str, quotes: bool) -> list[str]:
    if len(separator) > 1 or not quotes:
        return line.split(separator)
    return next(csv.reader([line], delimiter=separator))
