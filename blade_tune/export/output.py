"""Recommendations as a file."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np

from blade_tune.data import folder
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
) -> None:
    """Write user, item, rank and score, user after user, under the log's names of the first two.

    Ids that are all whole numbers are written as such to Parquet. The file is there whole or not at all.

    Args:
        found: what is written.
        users: their ids, by place.
        items: their ids, by number from 1.
        log: how the log called its columns.
        path: .csv or .parquet.
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
        user, item = _ids(database, "users", users, 0), _ids(database, "items", items, 1)
        database.execute(
            f"COPY (SELECT {user} AS {quoted(log.user)}, {item} AS {quoted(log.item)}, found.rank, found.score "
            "FROM found JOIN users ON users.number = found.place JOIN items ON items.number = found.number "
            f"ORDER BY found.place, found.rank) TO {literal(str(new))} ({FORMATS[path.suffix]})"
        )


def _ids(database: duckdb.DuckDBPyConnection, table: str, ids: Sequence[str], first: int) -> str:
    """Make a table of the ids; gives SQL of an id."""
    names = np.array(ids, dtype=object)
    database.register(f"given_{table}", {"number": np.arange(first, first + len(ids)), "id": names})
    database.execute(f"CREATE TABLE {table} AS SELECT number, id::VARCHAR AS id FROM given_{table}")
    ((num_others,),) = database.execute(
        f"SELECT count(*) FROM {table} WHERE try_cast(id AS BIGINT)::VARCHAR IS DISTINCT FROM id"
    ).fetchall()
    return f"{table}.id" if num_others else f"{table}.id::BIGINT"
