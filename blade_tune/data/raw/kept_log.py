"""The rows of a log as they are kept beside its split, so that newer rows can be added to them.

A file has the used rows of one source, in the order in which they were read: what the table `rows` of `load` holds of
them, exactly. Test rows are among them, so only the current user may read it.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from blade_tune.data import folder
from blade_tune.data.raw.files import literal
from blade_tune.data.raw.load import Log
from blade_tune.errors import DataError
from blade_tune.files import sha256

# All columns of a used row; no such row is only seen, and logs that were kept earlier do not say so
COLUMNS = "COLUMNS(lambda name: name <> 'seen')"
# Columns by which a row that was there already is known; the time is compared as such, however it is written
KEY = ("user_id", "item_id", "mask", "session")


@dataclass(frozen=True)
class Joined:
    """How many rows of a newer file were added to a log, and which were not new."""

    added: int
    already: int  # that the log had, of the same user, item, time, session and behaviors
    late: int  # of those added, that are older than the log's last row


def file_name(number: int) -> str:
    """Return the name of the file that has the rows of a log's n-th source, from 1."""
    return f"log-{number}.parquet"


def keep(database: duckdb.DuckDBPyConnection, used: str, path: Path, table: str = "rows") -> None:
    """Write the used rows of a table to a file.

    Args:
        database: the scratch database.
        used: SQL of whether a row is used.
        path: the file.
        table: the table.
    """
    database.execute(
        f"COPY (SELECT {COLUMNS} FROM {table} WHERE {used}) TO {literal(str(path))} "
        "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
    )
    path.chmod(folder.PRIVATE_FILE)


def take_over(older: Path, number: int, checksums: dict[str, str], target: Path) -> list[Path]:
    """Put the files of a version into the folder of the next one, as the same files where the disk can.

    Args:
        older: the folder of the version.
        number: how many files it has.
        checksums: of its files by name.
        target: the folder of the next version.

    Raises:
        DataError: a file is missing, or is not as it was written.
    """
    taken = []
    for name in map(file_name, range(1, number + 1)):
        try:
            _same_file(older / name, target / name)
            is_whole = sha256(target / name) == checksums.get(name)
        except FileNotFoundError:
            is_whole = False
        if not is_whole:
            raise DataError(
                f"{older / name}: must be as `data prepare` wrote it, and is not; prepare the whole log once more."
            )
        taken.append(target / name)
    return taken


def _same_file(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # another user's file, or a disk without links
        shutil.copy2(source, target)


def join(
    database: duckdb.DuckDBPyConnection, log: Log, older: Sequence[Path], newest: Path
) -> Joined:
    """Put the rows that are kept before those of a newer file in the table `rows`, and write the new ones to a file.

    Args:
        database: the scratch database, whose table `rows` has the newer file.
        log: the newer file; its time becomes that of the joined rows.
        older: the files that are kept.
        newest: the file to write.

    Raises:
        DataError: the newer file has times of another kind.
    """
    files = ", ".join(literal(str(path)) for path in older)
    database.execute("ALTER TABLE rows RENAME TO newer")
    database.execute(f"CREATE TABLE rows AS SELECT * FROM read_parquet([{files}])")
    num_older = _count(database, "rows")
    database.execute(f"INSERT INTO rows BY NAME SELECT {COLUMNS} FROM newer WHERE {log.used}")
    num_newer = _count(database, "rows") - num_older
    database.execute("DROP TABLE newer")
    log.settle_time()

    # The rows of the newer file that the log has not; only its rows from the oldest of them on need to be compared
    database.execute(
        f"CREATE VIEW timed AS SELECT *, rowid AS place, {log.time} AS moment FROM rows"
    )
    is_newer, is_older = f"place >= {num_older}", f"place < {num_older}"
    equal = " AND ".join(f"a.{name} IS NOT DISTINCT FROM b.{name}" for name in (*KEY, "moment"))
    oldest = f"(SELECT min(moment) FROM timed WHERE {is_newer})"
    database.execute(
        f"CREATE TABLE fresh AS SELECT * FROM (SELECT * FROM timed WHERE {is_newer}) AS a ANTI JOIN "
        f"(SELECT * FROM timed WHERE {is_older} AND moment >= {oldest}) AS b ON {equal} ORDER BY place"
    )
    last = f"(SELECT max(moment) FROM timed WHERE {is_older})"
    added, late = _count(database, "fresh"), _count(database, "fresh", f"moment < {last}")
    database.execute("DROP VIEW timed")

    # They stand after the others, in their own order
    database.execute("ALTER TABLE fresh DROP place")
    database.execute("ALTER TABLE fresh DROP moment")
    keep(database, "true", newest, "fresh")
    database.execute(f"DELETE FROM rows WHERE rowid >= {num_older}")
    database.execute("INSERT INTO rows BY NAME SELECT * FROM fresh")
    database.execute("DROP TABLE fresh")
    return Joined(added, num_newer - added, late)


def _count(database: duckdb.DuckDBPyConnection, table: str, condition: str = "true") -> int:
    ((count,),) = database.execute(f"SELECT count(*) FROM {table} WHERE {condition}").fetchall()
    return int(count)
