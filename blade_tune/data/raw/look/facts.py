"""Counts on the rows that were looked at, read as it was guessed by the code that prepares logs."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from blade_tune.data.raw import times
from blade_tune.data.raw.csv_files import CsvFile
from blade_tune.data.raw.database import connected
from blade_tune.data.raw.forms import LogPart
from blade_tune.data.raw.load import Log
from blade_tune.data.raw.look.guess import Guess
from blade_tune.data.raw.unpack import PlainFile
from blade_tune.errors import DataError

# Least share of interactions of several behaviors that are worth a session
SETS = 0.02


@dataclass(frozen=True)
class Counted:
    """Counts on the rows that were looked at."""

    rows: int = 0
    left_out: dict[str, int] = field(default_factory=dict)  # reason -> rows
    span: dict[str, str] = field(default_factory=dict)  # `first` and `last` time
    # Share of interactions with more than one behavior, if rows of one time or of one session merge
    sets_by_time: float = 0.0
    sets_by_session: float | None = None
    repeats: float = 0.0  # share of interactions whose user, item and set were there before
    refusal: str | None = None  # what `data prepare` will say, if it refuses these rows

    @property
    def needs_session(self) -> bool:
        """Whether behaviors come together in sessions, and not at one time."""
        by_session = self.sets_by_session or 0.0
        return by_session >= max(SETS, 2 * self.sets_by_time)


def facts_of(guesses: Sequence[Guess], parts: Sequence[LogPart]) -> Counted:
    """Read the rows that were looked at as a log.

    Args:
        guesses: of each source.
        parts: of each source, with a session wherever there is a column of one.
    """
    with TemporaryDirectory() as folder, connected(Path(folder)) as database:
        files = []
        for number, (found, part) in enumerate(zip(guesses, parts, strict=True)):
            path = Path(folder) / f"{number}.csv"
            _write(found, part, path)
            form = part.form.model_copy(update={"header": (), "encoding": None})
            files.append(CsvFile(PlainFile(path, str(part.source)), database, form))
        try:
            log = Log(database, files)
        except DataError as error:
            return Counted(refusal=str(error))
        return _counted(database, log, parts)


def _write(found: Guess, part: LogPart, path: Path) -> None:
    """Write the columns that are read to a CSV file."""
    columns = {column.name: column.values for column in found.columns}
    used = part.form.used
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(used)
        writer.writerows(zip(*(columns[name] for name in used), strict=True))


def _counted(database: duckdb.DuckDBPyConnection, log: Log, parts: Sequence[LogPart]) -> Counted:
    left_out = log.counts()
    num_rows = left_out.pop("rows")
    form = parts[0].form
    of_time = "moment::VARCHAR" if form.time else "place::VARCHAR"
    rows = f"(SELECT *, rowid AS place, {log.time} AS moment FROM rows WHERE {log.used})"
    by_time = _sets(database, rows, of_time)
    by_session = None
    if any(part.form.session for part in parts):
        by_session = _sets(database, rows, f"coalesce('in ' || session, {of_time})")
    share, repeats = by_time
    return Counted(
        num_rows,
        {reason: count for reason, count in left_out.items() if count},
        times.span(database, log.time, log.used) if form.time else {},
        share,
        by_session and by_session[0],
        repeats,
    )


def _sets(database: duckdb.DuckDBPyConnection, rows: str, key: str) -> tuple[float, float]:
    """Return the share of interactions with several behaviors and that of repeats, if rows of one key merge."""
    merged = f"SELECT user_id, item_id, bit_or(mask) AS mask FROM {rows} GROUP BY user_id, item_id, {key}"
    ((number, several, distinct),) = database.execute(
        "SELECT count(*), count(*) FILTER (bit_count(mask) > 1), count(DISTINCT (user_id, item_id, mask)) "
        f"FROM ({merged})"
    ).fetchall()
    return several / max(1, number), (number - distinct) / max(1, number)
