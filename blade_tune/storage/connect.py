"""Where studies are stored: a SQLite file by default, a PostgreSQL server for fleets; one URL apart."""

import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
import psutil
from filelock import FileLock, Timeout
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import NullPool, create_engine, func, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

from blade_tune.config import guess
from blade_tune.errors import ConfigError, NothingStoredError, StorageError
from blade_tune.redact import HIDDEN, redacted_url
from blade_tune.storage.optuna_storage import (
    StudyStorage,
    is_outage_at_start,
    lacks_table,
    patiently,
    reason_of,
)

log = logging.getLogger(__name__)

SQLITE, POSTGRES = "sqlite", "postgresql+psycopg"
POSTGRES_NAMES = ("postgres", "postgresql")
SCHEME = re.compile(r"[\w+.-]{1,32}")
USER_INFO = re.compile(r"[\w+]+://(?:[^:/]*(?::[^@]*)?@)?")  # as SQLAlchemy reads it
IN_MEMORY = (None, "", ":memory:")
BUSY_TIMEOUT_S = 60
OUTAGE_S = 300.0  # a database that went away is waited for so long
CREATION_S = 60  # one process waits for another that creates tables or a study
CREATION_LOCK = 0xB1ADE  # number of PostgreSQL's advisory lock
CONNECTION = {  # libpq's: a server that vanished without a word is noticed within half a minute
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
NETWORK_FILE_SYSTEMS = (
    *("nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "sshfs", "afs", "afpfs", "davfs", "s3fs"),
    *("ceph", "lustre", "glusterfs", "beegfs", "beegfs_nodev", "gpfs", "orangefs", "pvfs2"),
)


def resolve_url(storage: str | None, results: Path) -> URL:
    """The database of a study: the given URL, else the SQLite file of the results folder.

    `postgres://` and `postgresql://` mean the psycopg 3 driver.

    Raises:
        ConfigError: no URL of a database that studies can be in.
    """
    if storage is None:
        return URL.create(SQLITE, database=str(results / "studies.db"))
    scheme = storage.partition("://")[0] if "://" in storage else "?"
    if scheme in (*POSTGRES_NAMES, POSTGRES):
        _require_readable(storage)
    with suppress(ArgumentError, ValueError):  # the latter for a port that is no number
        url = make_url(storage)
        if url.drivername in POSTGRES_NAMES:
            url = url.set(drivername=POSTGRES)
        if url.drivername == SQLITE and url.database not in IN_MEMORY:
            return url.set(database=os.path.expanduser(url.database or ""))
        if url.drivername == POSTGRES:
            return url
    raise ConfigError(
        f"the storage must be a database URL, {SQLITE}:///FILE or {POSTGRES}://USER@HOST/DATABASE, "
        f"got one of scheme {scheme if SCHEME.fullmatch(scheme) else '?'!r}."
    )


def _require_readable(storage: str) -> None:
    """Refuse a URL of PostgreSQL whose parts can be taken for others: a password would be shown as a host.

    Raises:
        ConfigError: it says what to write instead, and shows no password.
    """
    rest = USER_INFO.sub("", storage, 1)
    place, _, options = rest.partition("?")
    before = storage.removesuffix(rest) + place
    if "@" in place:
        raise ConfigError(
            f"the storage URL {redacted_url(before)} must have one @, in front of its host; an @ in a user name or a "
            "password is written %40, a / is written %2F."
        )
    names = [name if equals else None for name, equals, _ in (each.partition("=") for each in options.split("&"))]
    if options and not _libpq_options().issuperset(names):
        raise ConfigError(
            f"the storage URL {redacted_url(before)}?{HIDDEN} must have options of libpq only, NAME=VALUE&NAME=VALUE; "
            "an & in a value is written %26."
        )


@cache
def _libpq_options() -> frozenset[str]:
    from psycopg.pq import Conninfo  # a third of a second, which SQLite does without

    return frozenset(option.keyword.decode() for option in Conninfo.get_defaults())


def masked(url: URL) -> str:
    """The URL without its secrets, for people and logs."""
    return redacted_url(url.render_as_string(hide_password=False))


def await_database(url: URL) -> None:
    """Wait for a database that is away at the start, for as long as a running study would; one line says so.

    Raises:
        StorageError: it is away for longer, or waiting does not help: the URL, the user or the password is wrong.
    """
    if url.drivername == SQLITE and not Path(url.database or "").exists():
        return
    engine = create_engine(url, poolclass=NullPool, **_connecting(url))
    reads = text("SELECT count(*) FROM sqlite_master" if url.drivername == SQLITE else "SELECT 1")
    told = False

    def is_waited_for(error: BaseException) -> bool:
        nonlocal told
        is_away = is_outage_at_start(error)
        if is_away and not told and OUTAGE_S:
            told = True
            log.warning("storage=%s is away; it is waited for, %.0f s at most", masked(url), OUTAGE_S)
        return is_away

    def reach() -> None:
        with engine.connect() as connection:
            connection.execute(reads)

    with storage_errors(url):
        patiently(reach, OUTAGE_S, url, is_waited_for)


def open_storage(url: URL, *, create: bool, outage_s: float = 0.0) -> StudyStorage:
    """Connect to a database of studies.

    Args:
        url: from `resolve_url`.
        create: make the file and the tables where there are none; else a missing one is an error.
        outage_s: for how long this and later calls wait for a database that is away.

    Raises:
        StorageError: it cannot be reached, or another version of Optuna made it.
        NothingStoredError: there is no file or no table.
        ConfigError: it is a SQLite file on a network file system.
    """
    storage = connect(url, create=create, outage_s=outage_s)
    version, ours = versions(storage, url)
    if version != ours:
        raise StorageError(
            f"{masked(url)}: its tables are of version {version}, this Optuna needs {ours}; "
            "run `blade-tune storage upgrade`."
        )
    return storage


def connect(url: URL, *, create: bool, outage_s: float = 0.0) -> StudyStorage:
    """The same, whichever version of Optuna made it."""
    nothing = f"{masked(url)}: no study has been run here; give --results or --storage as `run` had it."
    if url.drivername == SQLITE:
        file = Path(url.database or "")
        _require_local(file)
        if not create and not file.exists():
            raise NothingStoredError(nothing)
    # Optuna formats the URL, so braces, of a path or a password, are doubled.
    template = url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it tells of each study, and warns with tracebacks of trials
    with storage_errors(url), creating(url) if create else nullcontext():
        try:
            options = _engine_options(url)
            opening = partial(StudyStorage, template, options, create=create, outage_s=outage_s)
            try:
                return patiently(opening, outage_s, url)
            except IntegrityError:  # Optuna writes its version also where it only opens, and another did at this moment
                return patiently(opening, outage_s, url)
        except (SQLAlchemyError, StorageInternalError) as error:
            if not lacks_table(error):
                raise
            raise NothingStoredError(nothing) from None


def versions(storage: StudyStorage, url: URL) -> tuple[str, str]:
    """The version of a database's tables, and the one that this Optuna makes.

    Raises:
        StorageError: this Optuna does not know theirs.
    """
    with storage_errors(url):
        version, ours = storage.get_current_version(), storage.get_head_version()
    if version != ours and version not in storage.get_all_versions():
        raise StorageError(
            f"{masked(url)}: its tables are of version {version}, which a newer Optuna than this one made "
            f"({ours}); use that one."
        )
    return version, ours


@contextmanager
def creating(url: URL) -> Iterator[None]:
    """Be the only process that creates tables or a study in a database; others wait.

    Raises:
        StorageError: another process has been at it for a minute.
    """
    if url.drivername == SQLITE:
        lock = Path(f"{url.database}.lock")
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(lock, timeout=CREATION_S):
                yield
        except Timeout:
            raise StorageError(f"{lock}: another process has held it for {CREATION_S} s.") from None
    else:
        engine = create_engine(url, poolclass=NullPool, connect_args=_connection_options(url))
        with storage_errors(url), engine.begin() as connection:  # whose end is the lock's
            connection.execute(text(f"SET LOCAL lock_timeout = '{CREATION_S}s'"))
            connection.execute(select(func.pg_advisory_xact_lock(CREATION_LOCK)))
            yield


@contextmanager
def storage_errors(url: URL) -> Iterator[None]:
    """Turn a database's errors into one line without the password."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        raise StorageError(f"{masked(url)}: {reason_of(error)}") from None


def load_study(storage: RDBStorage, name: str) -> optuna.Study:
    """Open a stored study.

    Raises:
        ConfigError: there is none of this name; the message lists the names.
    """
    names = [study.study_name for study in storage.get_all_studies()]
    if name not in names:
        raise ConfigError(f"no study {name!r} is stored. {guess(name, names)}")
    return optuna.load_study(study_name=name, storage=storage)


def _require_local(file: Path) -> None:
    """Make sure that SQLite's locks and shared memory work where the file is."""
    kind = file_system(file.resolve()).removeprefix("fuse.")
    if kind in NETWORK_FILE_SYSTEMS:
        raise ConfigError(
            f"{file}: a SQLite database must be on a local disk, this is a network file system ({kind}); give "
            f"--storage {POSTGRES}://USER@HOST/DATABASE for a server, or --storage {SQLITE}:////LOCAL/studies.db."
        )


def file_system(path: Path) -> str:
    """The kind of the file system that a path is on; empty where it is unknown."""
    mounts = [mount for mount in psutil.disk_partitions(all=True) if path.is_relative_to(mount.mountpoint)]
    mounts.sort(key=lambda mount: len(mount.mountpoint))  # of several at one point, the last is seen
    return mounts[-1].fstype.lower() if mounts else ""


def _engine_options(url: URL) -> dict[str, Any]:
    if url.drivername == SQLITE:
        pragmas = {} if _is_read_only(url) else {"pool_events": [(_set_pragmas, "connect")]}
        return {**_connecting(url), **pragmas}
    return {**_connecting(url), "pool_pre_ping": True, "pool_size": 2, "max_overflow": 2}


def _connecting(url: URL) -> dict[str, Any]:
    """How `create_engine` shall connect."""
    if url.drivername != SQLITE:
        return {"connect_args": _connection_options(url)}
    if _is_read_only(url):
        return {"creator": partial(_connect_reading, Path(url.database or ""))}
    return {"connect_args": {"timeout": BUSY_TIMEOUT_S}}


def _is_read_only(url: URL) -> bool:
    """Whether a SQLite file is there, and neither it nor anything beside it can be written."""
    file = Path(url.database or "")
    return file.exists() and not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK))


def _connect_reading(file: Path) -> sqlite3.Connection:
    """Connect to a file that cannot be written: without a log beside it nobody writes to it, so it needs no locks."""
    log_file = Path(f"{file}-wal")
    is_written = log_file.exists() and log_file.stat().st_size > 0
    uri = f"file:{quote(str(file.resolve()))}?mode=ro{'' if is_written else '&immutable=1'}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False)


def _connection_options(url: URL) -> dict[str, int]:
    """Ours, but for those that a PostgreSQL URL gives itself."""
    return {name: value for name, value in CONNECTION.items() if name not in url.query}


def _set_pragmas(connection: Any, _: Any) -> None:
    """Readers never wait for a writer; a write survives the process, the latest ones perhaps not a power cut."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
