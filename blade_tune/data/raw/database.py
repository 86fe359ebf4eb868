"""A scratch database on disk, bounded in memory."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from blade_tune.data.raw.interruption import interruptible
from blade_tune.errors import DataError

MEMORY = "2GB"  # the database's own limit; the process takes about half as much again, see docs/data.md
MAX_THREADS = 8  # each has buffers of its own


@contextmanager
def scratch(out: Path) -> Iterator[Path]:
    """A folder beside `out` that is gone in the end; what a killed process left there is gone first.

    Raises:
        DataError: another process works on the same `out`, or the database has no word for its path.
    """
    folder = out.with_name(f".{out.name}.preparing")
    if "\\" in str(folder.absolute()):
        raise DataError(f"{out}: must be a path without a backslash, which the scratch database takes for a slash.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)  # test rows lie in it too
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DataError(f"{out}: another process is writing there.") from None
    try:
        for left in folder.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


@contextmanager
def connected(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in a folder, where it also puts what memory cannot hold.

    Raises:
        DataError: no room is left, on disk or in memory.
    """
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "threads": min(MAX_THREADS, os.cpu_count() or 1),
        "temp_directory": str(folder / "spilled"),
        "autoinstall_known_extensions": False,  # all that is read is built in; nothing is asked of the network
    }
    try:
        with duckdb.connect(folder / "scratch.db", config=settings) as database, interruptible(database):
            database.execute("SET TimeZone = 'UTC'")
            yield database
    except duckdb.Error as error:  # what is wrong with a log is said where it is read
        raise DataError(f"{folder}: the scratch database failed ({str(error).splitlines()[0]}).") from None
