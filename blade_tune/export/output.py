"""Writing of recommendations as Parquet with exact ids, or as CSV that is safe to open in a spreadsheet."""

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

# SQL of all recommendations with the ids of their users and items
JOINED = "found JOIN users ON users.number = found.place JOIN items ON items.number = found.number"


def check_suffix(path: Path) -> None:
    """Refuse a file with an unknown suffix, before any work is done.

    Raises:
        ConfigError: the suffix is unknown.
    """
    if path.suffix not in FORMATS:
        raise ConfigError(f"{path}: must end in one of {', '.join(FORMATS)}.")


def write_recommendations(
    recommendations: Recommendations,
    users: Sequence[str],
    items: Sequence[str],
    log: LogFormat,
    path: Path,
) -> list[str]:
    """Write user, item, rank and score of all recommendations, user after user.

    The columns of users and items are named as in the log. In Parquet, ids are integers if all are whole numbers. In
    CSV, an id that a spreadsheet would take for a formula gets an apostrophe in front. The file appears complete or not
    at all.

    Args:
        recommendations: the recommendations.
        users: ids of the users; `recommendations.places_M` are positions in this list.
        items: ids of the items 1, 2, ...
        log: format of the model's log, which names the columns.
        path: the file, .csv or .parquet.

    Returns:
        Notes on ids that were not written exactly, one a line; empty if all were.
    """
    check_suffix(path)
    columns = {
        "place": recommendations.places_M.numpy(),
        "number": recommendations.items_M.numpy(),
        "rank": recommendations.ranks_M.numpy(),
        "score": recommendations.scores_M.numpy(),
    }
    num_changed = 0
    with (
        folder.whole_file(path) as new,
        TemporaryDirectory() as scratch,
        connected(Path(scratch)) as database,
    ):
        # Recommendations hold positions and numbers, which joins turn into ids.
        database.register("found", columns)
        ids = {
            log.user: _ids(database, "users", users, 0),
            log.item: _ids(database, "items", items, 1),
        }
        # In CSV, ids that a spreadsheet would run are counted and guarded.
        if path.suffix == ".csv":
            num_changed = _num_formulas(database)
            ids = {cell(name): guarded(f"{sql}::VARCHAR") for name, sql in ids.items()}

        picked = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in ids.items())
        database.execute(
            f"COPY (SELECT {picked}, found.rank, found.score FROM {JOINED} ORDER BY found.place, found.rank) "
            f"TO {literal(str(new))} ({FORMATS[path.suffix]})"
        )
    if not num_changed:
        return []
    return [
        f"{num_changed:,} rows have an id that a spreadsheet would run: in CSV it has an apostrophe in front"
    ]


def _num_formulas(database: duckdb.DuckDBPyConnection) -> int:
    """Return the number of recommendations whose user or item has an id that a spreadsheet would run."""
    has_formula = f"{is_formula('users.id::VARCHAR')} OR {is_formula('items.id::VARCHAR')}"
    counted = f"SELECT count(*) FROM {JOINED} WHERE {has_formula}"
    ((count,),) = database.execute(counted).fetchall()
    return int(count)


def _ids(database: duckdb.DuckDBPyConnection, table: str, ids: Sequence[str], first: int) -> str:
    """Make a table of ids numbered from `first`, and return SQL of an id: an integer if all ids are whole numbers."""
    numbers = np.arange(first, first + len(ids))
    database.register(f"python_{table}", {"number": numbers, "id": np.array(ids, dtype=object)})
    database.execute(
        f"CREATE TABLE {table} AS SELECT number, id::VARCHAR AS id FROM python_{table}"
    )
    ((num_others,),) = database.execute(
        f"SELECT count(*) FROM {table} WHERE try_cast(id AS BIGINT)::VARCHAR IS DISTINCT FROM id"
    ).fetchall()
    return f"{table}.id" if num_others else f"{table}.id::BIGINT"
