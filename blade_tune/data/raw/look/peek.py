"""The first rows of a source, read in bounded memory and time: its form, its columns, and their values as text."""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import duckdb

from blade_tune.data.raw.csv_files import SEPARATORS, divided, untyped
from blade_tune.data.raw.database import connected
from blade_tune.data.raw.files import MISSING, quoted
from blade_tune.data.raw.find import listed
from blade_tune.data.raw.forms import LINES, SEPARATED, ending_of
from blade_tune.data.raw.look.header import is_header
from blade_tune.data.raw.look.text import decoded
from blade_tune.data.raw.parquet_files import ParquetFile
from blade_tune.data.raw.settings import LogFormat
from blade_tune.data.raw.unpack import head, unpacked
from blade_tune.errors import DataError

# Most rows and bytes of a source that are looked at, and most files among which they are divided
ROWS, BYTES, FILES = 100_000, 2**24, 8
# Half of a character beyond U+FFFF without its other half, which is no text
LONE_SURROGATE = re.compile(
    r"(?i)\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f][0-9a-f]{2})|(?<!\\ud[89ab][0-9a-f]{2})\\ud[c-f][0-9a-f]{2}"
)
ANY = LogFormat(user="user", item="item", behaviors=("any",), columns=("*",))
Text = str | None  # None for a missing value


class FirstRows(NamedTuple):
    """The first rows of one file."""

    form: str
    names: list[str]
    rows: list[Sequence[Text]]
    is_whole: bool  # whether the file has no other rows
    encoding: str | None = None  # what --encoding must name
    has_header: bool = True
    nested: frozenset[str] = frozenset()  # columns of objects and lists
    num_bad: int = 0  # rows that do not have a value a column


@dataclass(frozen=True)
class Peek:
    """The first rows of a source."""

    source: Path
    form: str
    columns: dict[str, list[Text]]  # name -> values, None for a missing one
    num_files: int
    is_whole: bool  # whether these are all rows
    encoding: str | None = None
    has_header: bool = True
    nested: frozenset[str] = frozenset()
    notes: list[str] = field(default_factory=list)  # sentences on what is wrong with rows
    # Texts of missing values, such as NULL -> how often
    missing: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def num_rows(self) -> int:
        """The number of rows that were looked at."""
        return len(next(iter(self.columns.values()), ()))


def peek(source: Path) -> Peek:
    """Read the first rows of a source.

    Args:
        source: a file, an archive, a folder or a pattern, as `data prepare` takes them.

    Raises:
        DataError: there is no such file, it is damaged or of no form that is read, or it has no row.
    """
    places = listed(source)
    step = max(1, -(-len(places) // FILES))
    chosen = places[::step]
    share = (ROWS // len(chosen), BYTES // len(chosen))
    tables = [_table(path, *share) for path, _ in chosen]
    first, notes = tables[0], []
    names = [name for name in first.names if all(name in table.names for table in tables)]
    if len(names) < len(first.names):
        notes.append(
            f"files have different columns; those of all are {', '.join(names) or 'none'}; name the files of the log "
            "by a pattern"
        )

    # Columns, and those whose values are in the names of folders
    columns: dict[str, list[Text]] = {name: [] for name in names if first.names.count(name) == 1}
    for name in sorted({name for name in first.names if first.names.count(name) > 1}):
        notes.append(
            f"the column {name!r} is there {first.names.count(name)} times, so it cannot be used"
        )
    for table in tables:
        for name, values in columns.items():
            place = table.names.index(name)
            values += [row[place] for row in table.rows]
    for name in {name for _, partition in places for name in partition if name not in columns}:
        columns[name] = []
        for table, (_, partition) in zip(tables, chosen, strict=True):
            columns[name] += [partition.get(name, "")] * len(table.rows)
    bad = sum(table.num_bad for table in tables)
    if bad:
        notes.append(
            f"{bad:,} rows have more or fewer values than columns; `data prepare` names the first of them"
        )
    if not columns or not any(table.rows for table in tables):
        raise DataError(f"{source}: must have a row and a column, and has none.")
    missing = {name: _take_missing(values) for name, values in columns.items()}
    return Peek(
        source,
        first.form,
        columns,
        len(places),
        step == 1 and all(table.is_whole for table in tables),
        next((table.encoding for table in tables if table.encoding), None),
        first.has_header,
        frozenset().union(*(table.nested for table in tables)),
        notes,
        {name: counts for name, counts in missing.items() if counts},
    )


def _take_missing(values: list[Text]) -> dict[str, int]:
    """Put None in the place of texts that stand for a missing value; return how often each was there."""
    counts: dict[str, int] = {}
    for place, value in enumerate(values):
        if value is not None and value in MISSING:
            counts[value] = counts.get(value, 0) + 1
            values[place] = None
    return counts


def _table(path: Path, num_rows: int, num_bytes: int) -> FirstRows:
    """Return the first rows of a file."""
    name, raw = head(path, num_bytes)
    suffix = ending_of(name, str(path))
    if suffix == ".parquet":
        return _of_parquet(path, num_rows)
    is_whole = len(raw) < num_bytes
    text, encoding = decoded(raw, is_whole=is_whole)
    if suffix in SEPARATED:
        table = _of_lines(path, text, suffix, is_whole=is_whole)
    else:
        table = _of_objects(path, text, may_be_array=suffix not in LINES, is_whole=is_whole)
    is_whole = table.is_whole and len(table.rows) <= num_rows
    return table._replace(rows=table.rows[:num_rows], is_whole=is_whole, encoding=encoding)


def _of_lines(path: Path, text: str, suffix: str, *, is_whole: bool) -> FirstRows:
    """Return the rows of separated text."""
    first = re.split(r"[\r\n]", text, maxsplit=1)[0]
    if not first:
        raise DataError(f"{path}:1: must be a header or a row, got an empty line.")
    try:
        separator, cells = divided(first)
    except csv.Error as error:
        raise DataError(
            f"{path}:1: must be a header or a row ({error}); is a quote not closed?"
        ) from None
    rows, num_bad = _rows(text, separator, len(cells), is_whole=is_whole)
    shown = {"\t": "tabs", " ": "blanks"}.get(separator, repr(separator))
    form = "RecBole's .inter" if suffix == ".inter" else f"text, separated by {shown}"
    if separator in SEPARATORS and len(cells) == 1:
        form = "text of one column"
    if suffix == ".inter":
        return FirstRows(form, untyped(cells), rows[1:], is_whole, num_bad=num_bad)
    if is_header(cells, rows[1:]):
        return FirstRows(form, cells, rows[1:], is_whole, num_bad=num_bad)
    names = [f"column_{number}" for number in range(1, len(cells) + 1)]
    return FirstRows(form, names, rows, is_whole, has_header=False, num_bad=num_bad)


def _rows(
    text: str, separator: str, width: int, *, is_whole: bool
) -> tuple[list[Sequence[Text]], int]:
    """Return the rows of a width, the header among them, and how many have another one; the last may be cut."""
    rows: list[Sequence[Text]] = []
    num_bad = 0
    cut: Sequence[Text] | None = None
    try:
        for row in _cells(text, separator):
            if cut is not None and len(cut) == width:
                rows.append(cut)
            elif cut:
                num_bad += 1
            cut = row
            if len(rows) > ROWS:
                break
    except csv.Error:  # a cell is longer than the reader allows; the rows before are enough
        return rows, num_bad
    if cut is not None and is_whole:
        if len(cut) == width:
            rows.append(cut)
        elif cut:
            num_bad += 1
    return rows, num_bad


def _cells(text: str, separator: str) -> Iterator[list[str]]:
    if len(separator) > 1:
        return (line.rstrip("\r\n").split(separator) for line in io.StringIO(text, newline=""))
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator)


def _of_objects(path: Path, text: str, *, may_be_array: bool, is_whole: bool) -> FirstRows:
    """Return the rows of JSON objects, one a line or in an array."""
    is_array = may_be_array and text.lstrip().startswith("[")
    text = LONE_SURROGATE.sub(r"\\ufffd", text)
    decoder = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)
    objects: list[dict[str, Any]] = []
    place, end = (text.index("[") + 1, ",") if is_array else (0, "")
    while len(objects) <= ROWS:
        # To the next object, behind blanks and a comma
        found = re.compile(rf"[\s{end}]*").match(text, place)
        place = found.end() if found else place
        if place >= len(text) or (is_array and text[place] == "]"):
            break
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            if objects and not is_whole:
                break
            raise DataError(f"{path}: must be JSON objects ({error}).") from None
        if not isinstance(value, dict):
            raise DataError(f"{path}: must be JSON objects, got {type(value).__name__}.")
        objects.append(value)
    names = list(dict.fromkeys(key for value in objects for key in value))
    nested = {
        key for value in objects for key, inner in value.items() if isinstance(inner, dict | list)
    }
    rows: list[Sequence[Text]] = [
        [_as_text(value.get(name)) for name in names] for value in objects
    ]
    form = "a JSON array of objects" if is_array else "JSON objects, one a line"
    return FirstRows(form, names, rows, is_whole, nested=frozenset(nested))


def _as_text(value: Any) -> Text:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def _of_parquet(path: Path, num_rows: int) -> FirstRows:
    """Return the first rows of a Parquet file; columns that `data prepare` could not read count as nested."""
    with TemporaryDirectory() as folder, connected(Path(folder)) as database:
        place = Path(folder) / "unpacked"
        place.mkdir()
        file = ParquetFile(unpacked(path, (), place)[0], database, ANY)
        names, nested = [], set()
        for name in dict.fromkeys(file.columns()):
            try:
                file.relation([name])
                names.append(name)
            except DataError:
                nested.add(name)
        if not names:
            raise DataError(f"{path}: must have a plain column, got {', '.join(nested) or 'none'}.")
        with file.explained():
            rows = _fetch(database, file, names, num_rows + 1)
    is_whole = len(rows) <= num_rows
    shown = [*names, *sorted(nested)]
    padded: list[Sequence[Text]] = [(*row, *("{}" for _ in nested)) for row in rows[:num_rows]]
    return FirstRows("Parquet", shown, padded, is_whole, nested=frozenset(nested))


def _fetch(
    database: duckdb.DuckDBPyConnection, file: ParquetFile, names: list[str], num_rows: int
) -> list[tuple[Text, ...]]:
    columns = ", ".join(map(quoted, names))
    return database.execute(
        f"SELECT {columns} FROM {file.relation(names)} LIMIT {num_rows}"
    ).fetchall()
