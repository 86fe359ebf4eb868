"""Log files of JSON objects: one on each line, or the elements of one array."""

import json
import mmap
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from blade_tune.data.raw.files import (
    MAX_LINE_BYTES,
    LogFile,
    Nested,
    Reasons,
    decoding,
    folder_of,
    literal,
    place,
    quoted,
)
from blade_tune.errors import DataError

# Characters of the shortest number that a double may not hold: a point and 15 digits
MORE_DIGITS = 16


class JsonLinesFile(LogFile):
    """A file with one JSON object on each line."""

    reasons: ClassVar[Reasons] = (
        (r"Malformed JSON.*?: (.*?)\.?\s*$", r"must be JSON (\1)"),
        (r"Expected ARRAY, but got (\w+)", r"must hold a list of rows, got \1"),
        (r"but got (\w+)", r"must be a JSON object, got \1"),
        (r"has duplicate key \"([^\"]*)\"", r"must have each key once, got \1 twice"),
        (r"maximum_object_size", "an object is longer than 16 MiB; is a quote not closed?"),
    )
    is_sparse = True
    layout = "newline_delimited"

    def columns(self) -> list[str]:
        """Return the keys of the first object; later objects may have others."""
        try:
            first = self._first()
        except (ValueError, RecursionError) as error:  # a RecursionError if it is nested too deep
            raise DataError(f"{self.name}:1: must be a JSON object ({error}).") from None
        if not isinstance(first, dict):
            raise DataError(f"{self.name}:1: must be a JSON object, got {type(first).__name__}.")
        rows = first.get(self.form.rows)
        row = rows[0] if isinstance(rows, list) and rows else None
        keys = row if isinstance(row, dict) else ()
        return [*first, *(f"{self.form.rows}.{key}" for key in keys)]

    def _first(self) -> object:
        with decoding(self.name), self.path.open(encoding="utf-8-sig") as file:
            return json.loads(file.readline(MAX_LINE_BYTES))

    def _check(self, known: list[str], names: Sequence[str]) -> None:
        """Check nothing: objects may lack keys, so the first one is no header; `load` notices a key that none has."""

    def _read(self, names: Sequence[str], kind: str = "VARCHAR") -> str:
        rows = self.form.rows
        if rows is None:
            return self._objects(dict.fromkeys(names, kind))
        # A row for each object of the list, beside the keys of the object around it
        keys = [_in_rows(name, rows) for name in names]
        around = [name for name, key in zip(names, keys, strict=True) if key is None]
        fields = ", ".join(f"{quoted(key)} {kind}" for key in keys if key is not None)
        objects = self._objects({**dict.fromkeys(around, kind), rows: f"STRUCT({fields})[]"})
        unnested = ", ".join([*map(quoted, around), f"unnest({quoted(rows)}) AS {quoted(rows)}"])
        picked = ", ".join(
            quoted(name) if key is None else f"{quoted(rows)}.{quoted(key)} AS {quoted(name)}"
            for name, key in zip(names, keys, strict=True)
        )
        return f"(SELECT {picked} FROM (SELECT {unnested} FROM {objects}))"

    def _objects(self, types: Mapping[str, str]) -> str:
        """Return SQL of the table of some keys of the objects, by their types."""
        columns = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in types.items())
        return f"read_json({place(self.path)}, format = '{self.layout}', records = 'true', columns = {{{columns}}})"

    def nested(self, names: Sequence[str]) -> Nested | None:
        """Return the first value of the named columns that is an object or a list."""
        read = [name for name in self.form.used if name not in self._partition]
        for name in (name for name in names if name in read):
            column = quoted(name)
            numbered = (
                f"SELECT row_number() OVER () - 1 AS row, {column} FROM {self._read(read, 'JSON')}"
            )
            found = self._database.execute(
                f"SELECT row, {column}::VARCHAR FROM ({numbered}) "
                f"WHERE json_type({column}) IN ('OBJECT', 'ARRAY') LIMIT 1"
            ).fetchone()
            if found:
                return Nested(found[0], name, found[1])
        return None

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
        keys = rb"|".join(_key(_in_rows(name, self.form.rows) or name) for name in names)
        number = re.compile(rb"((?:%s)\s*:\s*)(-?[0-9.eE+-]{%d,})" % (keys, MORE_DIGITS))
        with self.path.open("rb") as file:
            if not file.seek(0, os.SEEK_END):  # an empty file cannot be mapped
                return False
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                if number.search(content) is None:
                    return False
                self.path = self._quoted(content, number)
        return True

    def _quoted(self, content: mmap.mmap, number: re.Pattern[bytes]) -> Path:
        """Write a copy next to the scratch database, with the matching numbers in quotes."""
        folder = folder_of(self._database)
        copy = folder / f"exact-{len(list(folder.glob('exact-*')))}.json"
        with copy.open("wb") as written, memoryview(content) as view:
            end = 0  # of what was written
            for match in number.finditer(content):
                written.write(view[end : match.start(2)])
                written.write(b'"%s"' % match[2])
                end = match.end()
            written.write(view[end:])
        return copy


class JsonArrayFile(JsonLinesFile):
    """A file of one JSON array of objects."""

    layout = "array"

    def _first(self) -> object:
        with decoding(self.name), self.path.open(encoding="utf-8-sig") as file:
            text = file.read(MAX_LINE_BYTES).lstrip().removeprefix("[").lstrip()
        if text.startswith("]"):
            raise ValueError("the array is empty")
        first, _ = json.JSONDecoder().raw_decode(text)
        return first


def _in_rows(name: str, rows: str | None) -> str | None:
    """Return the key that a column has in the objects of the list of rows; None if it is no key of those."""
    if rows is None or not name.startswith(f"{rows}."):
        return None
    return name.removeprefix(f"{rows}.")


def is_array(path: Path) -> bool:
    """Return whether a file of JSON begins like an array."""
    with path.open("rb") as file:
        return file.read(2**12).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")


def _key(name: str) -> bytes:
    r"""Return a regular expression for a key of a JSON object, in which each character may be escaped as \uXXXX."""

    def either(character: str) -> bytes:
        # A character beyond U+FFFF is escaped as two units of UTF-16
        encoded = character.encode("utf-16-be")
        units = [int.from_bytes(encoded[k : k + 2]) for k in range(0, len(encoded), 2)]
        escaped = b"".join(rb"\\u(?i:%04x)" % unit for unit in units)
        return b"(?:%s|%s)" % (re.escape(character.encode()), escaped)

    return b'"%s"' % b"".join(map(either, name))
