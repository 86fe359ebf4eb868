"""Recommendations as a file: exact in Parquet; in CSV so that no spreadsheet takes an id for a formula."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np

from blade_tune.data import folder
from blade_tune.data.cells import cell, guarded, is_formula
from blade_tune.data.raw.database import connected
from blade_tune.data.raw.files import literal, quoted
from blade_tune.data.raw.settings import LogFormat
from blade_tune.errors import ConfigError
from blade_tune.export.recommender import Recommendations

FORMATS = {".csv": "FORMAT csv, HEADER", ".parquet": "FORMAT parquet, COMPRESSION zstd"}


def check_suffix(path: Path) -> None:
    """Refuse a file of another form before any work is done."""
    if path.suffix not in FORMATS:
        raise ConfigError(f"{path}: must end in one of {', '.join(FORMATS)}.")


def write_recommendations(
    found: Recommendations, users: Sequence[str], items: Sequence[str], log: LogFormat, path: Path
) -> list[str]:
    """Write user, item, rank and score, user after user, under the log's names of the first two.

    Ids that are all whole numbers are written as such to Parquet. In CSV an id that a spreadsheet would run has an
    apostrophe before it. The file is there whole or not at all.

    Args:
        found: what is written.
        users: their ids, by place.
        items: their ids, by number from 1.
        log: how the log called its columns.
        path: .csv or .parquet.

    Returns:
        What was not written as it is, a line each.
    """
    check_suffix(path)
    columns = {
        "place": found.places_M,
        "number": found.items_M,
        "rank": found.ranks_M,
        "score": found.scores_M,
    }
    with folder.whole_file(path) as new, TemporaryDirectory() as place, connected(Path(place)) as database:
        database.register("found", {name: column.numpy() for name, column in columns.items()})
        ids = {log.user: _ids(database, "users", users, 0), log.item: _ids(database, "items", items, 1)}
        joined = "found JOIN users ON users.number = found.place JOIN items ON items.number = found.number"
        num_changed = 0
        if path.suffix == ".csv":
            has_formula = f"{is_formula('users.id::VARCHAR')} OR {is_formula('items.id::VARCHAR')}"
            ((num_changed,),) = database.execute(f"SELECT count(*) FROM {joined} WHERE {has_formula}").fetchall()
            ids = {cell(name): guarded(f"{sql}::VARCHAR") for name, sql in ids.items()}
        picked = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in ids.items())
        database.execute(
            f"COPY (SELECT {picked}, found.rank, found.score FROM {joined} ORDER BY found.place, found.rank) "
            f"TO {literal(str(new))} ({FORMATS[path.suffix]})"
        )
    changed = f"{num_changed:,} rows have an id that a spreadsheet would run: an apostrophe stands before it in CSV"
    return [changed] if num_changed else []


def _ids(database: duckdb.DuckDBPyConnection, table: str, ids: Sequence[str], first: int) -> str:
    """Make a table of the ids; gives SQL of an id."""
    names = np.array(ids, dtype=object)
    database.register(f"given_{table}", {"number": np.arange(first, first + len(ids)), "id": names})
    database.execute(f"CREATE TABLE {table} AS SELECT number, id::VARCHAR AS id FROM given_{table}")
    ((num_others,),) = database.execute(
        f"SELECT count(*) FROM {table} WHERE try_cast(id AS BIGINT)::VARCHAR IS DISTINCT FROM id"
    ).fetchall()
    return f"{table}.id" if num_others else f"{table}.id::BIGINT"
