"""Scratch database on disk, in which logs are prepared in bounded memory."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from blade_tune.data.raw.interruption import interruptible
from blade_tune.errors import DataError

# The database's own limit; the process takes about half as much again, see docs/data.md
MEMORY = "2GB"
MAX_THREADS = 8  # each thread has buffers of its own, which count toward the memory


@contextmanager
def scratch(out: Path) -> Iterator[Path]:
    """Yield an empty scratch folder next to `out`, which is removed in the end.

    What a killed process left in the folder is removed first. A lock on the folder keeps other processes away.

    Raises:
        DataError: another process works on the same `out`, or its path has a backslash.
    """
    folder = out.with_name(f".{out.name}.preparing")
    if "\\" in str(folder.absolute()):
        raise DataError(
            f"{out}: must be a path without a backslash, which the scratch database takes for a slash."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)  # private, for test rows lie in it too
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DataError(f"{out}: another process is writing there.") from None
    try:
        for leftover in folder.iterdir():
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


@contextmanager
def connected(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection to a new database in a folder, to which it also spills what memory cannot hold.

    Raises:
        DataError: the database failed, for example because no room is left on disk or in memory.
    """
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "threads": min(MAX_THREADS, os.cpu_count() or 1),
        "temp_directory": str(folder / "spilled"),
        # All formats are built in, so nothing is fetched from the network
        "autoinstall_known_extensions": False,
    }
    try:
        with (
            duckdb.connect(folder / "scratch.db", config=settings) as database,
            interruptible(database),
        ):
            database.execute("SET TimeZone = 'UTC'")
            yield database
    except duckdb.Error as error:  # faults of a log itself are reported as such where it is read
        raise DataError(
            f"{folder}: the scratch database failed ({str(error).splitlines()[0]})."
        ) from None
