"""Connections to databases of studies: a SQLite file by default, a PostgreSQL server for fleets of machines.

`resolve_url` turns what a user gave into a checked URL, `await_database` waits for a server that is not up yet, and
`open_storage` opens the database and checks its version. All errors of the database become a `StorageError` of one line
(`storage_errors`), and no message or log line shows a password (`masked`).
"""

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

from blade_tune.config import known_names
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
# The scheme, user and password of a URL, as SQLAlchemy reads them.
USER_INFO = re.compile(r"[\w+]+://(?:[^:/]*(?::[^@]*)?@)?")
# SQLite's names for a database that no second process could open.
IN_MEMORY = (None, "", ":memory:")
BUSY_TIMEOUT_S = 60  # how long SQLite waits for another process's write lock
OUTAGE_S = 300.0  # how long a database that went away is waited for
CREATION_S = 60  # how long a process waits for another that creates tables or a study
CREATION_LOCK = 0xB1ADE  # the number of PostgreSQL's advisory lock, the same in every process
# libpq's settings, with which a server that vanished without closing its connections is noticed within half a minute.
CONNECTION = {
    "connect_timeout": 10,  # seconds
    "keepalives_idle": 10,  # seconds
    "keepalives_interval": 5,  # seconds
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,  # milliseconds
}
# File systems, as psutil names them, on which SQLite's locks or shared memory do not work.
NETWORK_FILE_SYSTEMS = (
    *("nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "sshfs", "afs", "afpfs", "davfs", "s3fs"),
    *("ceph", "lustre", "glusterfs", "beegfs", "beegfs_nodev", "gpfs", "orangefs", "pvfs2"),
)


def resolve_url(storage: str | None, results: Path) -> URL:
    """Return the URL of a study's database: the given one, or that of `studies.db` in the results folder.

    `postgres://` and `postgresql://` mean the psycopg 3 driver.

    Args:
        storage: a database URL as the user wrote it; None for the SQLite file.
        results: the results folder.

    Raises:
        ConfigError: the text is not the URL of a SQLite file or a PostgreSQL database.
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
    shown = scheme if SCHEME.fullmatch(scheme) else "?"
    raise ConfigError(
        f"the storage must be a database URL, {SQLITE}:///FILE or {POSTGRES}://USER@HOST/DATABASE, "
        f"got one of scheme {shown!r}."
    )


def _require_readable(storage: str) -> None:
    """Refuse a PostgreSQL URL whose special characters are not escaped.

    An `@` in a password, for one, would make SQLAlchemy take the rest of the password for the host, and show it.

    Raises:
        ConfigError: the message says what to write instead, and shows no password.
    """
    rest = USER_INFO.sub("", storage, 1)
    host, _, options = rest.partition("?")  # with the port and the name of the database
    shown = redacted_url(storage.removesuffix(rest) + host)
    if "@" in host:
        raise ConfigError(
            f"the storage URL {shown} must have one @, in front of its host; an @ in a user name or a "
            "password is written %40, a / is written %2F."
        )
    if options and not all(map(_is_libpq_option, options.split("&"))):
        raise ConfigError(
            f"the storage URL {shown}?{HIDDEN} must have options of libpq only, NAME=VALUE&NAME=VALUE; "
            "an & in a value is written %26."
        )


def _is_libpq_option(option: str) -> bool:
    """Return whether an option of a URL has the form NAME=VALUE, with a name that libpq knows."""
    name, equals, _ = option.partition("=")
    return bool(equals) and name in _libpq_options()


@cache
def _libpq_options() -> frozenset[str]:
    """Return the names of the connection options that libpq knows."""
    # Imported here, because it takes a third of a second, which users of SQLite need not wait.
    from psycopg.pq import Conninfo

    return frozenset(option.keyword.decode() for option in Conninfo.get_defaults())


def masked(url: URL) -> str:
    """Return a URL without its secrets, for messages and logs."""
    return redacted_url(url.render_as_string(hide_password=False))


def await_database(url: URL) -> None:
    """Wait until a database can be reached, for `OUTAGE_S` seconds at most, with one line in the log.

    Called before a study is opened for work: a server may start later than its workers.

    Raises:
        StorageError: the database is away for longer, or waiting does not help because the URL, the user or the
            password is wrong.
    """
    if url.drivername == SQLITE and not Path(url.database or "").exists():
        return  # a new file: `open_storage` creates it, or says that it is missing
    engine = create_engine(url, poolclass=NullPool, **_connecting(url))
    # SQLite opens a file without reading it, so "SELECT 1" would succeed on a locked or broken one.
    query = text("SELECT count(*) FROM sqlite_master" if url.drivername == SQLITE else "SELECT 1")
    has_warned = False

    def is_waited_for(error: BaseException) -> bool:
        nonlocal has_warned
        is_away = is_outage_at_start(error)
        if is_away and OUTAGE_S and not has_warned:
            has_warned = True
            log.warning(
                "storage=%s is away; it is waited for, %.0f s at most", masked(url), OUTAGE_S
            )
        return is_away

    def reach() -> None:
        with engine.connect() as connection:
            connection.execute(query)

    with storage_errors(url):
        patiently(reach, OUTAGE_S, url, is_waited_for)


def open_storage(url: URL, *, create: bool, outage_s: float = 0.0) -> StudyStorage:
    """Connect to a database of studies whose tables are of this Optuna's version.

    Args:
        url: the database, from `resolve_url`.
        create: whether to create a missing file and missing tables; otherwise they are an error.
        outage_s: how many seconds this call and later calls on the storage wait for a database that is away.

    Raises:
        StorageError: the database cannot be reached, or another version of Optuna made its tables.
        NothingStoredError: the file or the tables are missing, and `create` is false.
        ConfigError: the database is a SQLite file on a network file system.
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
    """Connect to a database of studies whose tables may be of any version of Optuna.

    `open_storage` adds the check of the version. Only `blade-tune storage upgrade`, which changes it, does without.

    Args:
        url: the database, from `resolve_url`.
        create: whether to create a missing file and missing tables; otherwise they are an error.
        outage_s: how many seconds this call and later calls on the storage wait for a database that is away.

    Raises:
        StorageError: the database cannot be reached.
        NothingStoredError: the file or the tables are missing, and `create` is false.
        ConfigError: the database is a SQLite file on a network file system.
    """
    nothing = NothingStoredError(
        f"{masked(url)}: no study has been run here; give --results or --storage as `run` had it."
    )
    if url.drivername == SQLITE:
        file = Path(url.database or "")
        _require_local(file)
        if not create and not file.exists():
            raise nothing
    # Optuna calls str.format on the URL, so braces in a path or a password must be doubled.
    whole_url = url.render_as_string(hide_password=False)
    template = whole_url.replace("{", "{{").replace("}", "}}")
    # Without this Optuna logs every study, and failed trials with tracebacks.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with storage_errors(url), creating(url) if create else nullcontext():
        options = _engine_options(url)
        opening = partial(StudyStorage, template, options, create=create, outage_s=outage_s)
        try:
            try:
                return patiently(opening, outage_s, url)
            except IntegrityError:
                # Optuna writes its version even when it only opens; another process did so at the same moment.
                return patiently(opening, outage_s, url)
        except (SQLAlchemyError, StorageInternalError) as error:
            if not lacks_table(error):
                raise
            raise nothing from None


def versions(storage: StudyStorage, url: URL) -> tuple[str, str]:
    """Return the version of a database's tables, and the version that the installed Optuna needs.

    Raises:
        StorageError: the tables are of a version that the installed Optuna does not know.
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
    """Hold a lock in a `with` block that lets one process at a time create tables or a study in a database.

    Raises:
        StorageError: another process has held the lock for `CREATION_S` seconds.
    """
    if url.drivername == SQLITE:
        # A lock file next to the database, which may not exist yet.
        lock = Path(f"{url.database}.lock")
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(lock, timeout=CREATION_S):
                yield
        except Timeout:
            raise StorageError(f"{lock}: another process has held it for {CREATION_S} s.") from None
    else:
        engine = create_engine(url, poolclass=NullPool, connect_args=_connection_options(url))
        # The end of the transaction releases the lock.
        with storage_errors(url), engine.begin() as connection:
            connection.execute(text(f"SET LOCAL lock_timeout = '{CREATION_S}s'"))
            connection.execute(select(func.pg_advisory_xact_lock(CREATION_LOCK)))
            yield


@contextmanager
def storage_errors(url: URL) -> Iterator[None]:
    """Turn errors of a database inside a `with` block into a `StorageError` of one line without the password."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        raise StorageError(f"{masked(url)}: {reason_of(error)}") from None


def load_study(storage: RDBStorage, name: str) -> optuna.Study:
    """Open a stored study as Optuna's object.

    Raises:
        ConfigError: no study of this name is stored; the message lists the names.
    """
    names = [study.study_name for study in storage.get_all_studies()]
    if name not in names:
        raise ConfigError(f"no study {name!r} is stored. {known_names(name, names)}")
    return optuna.load_study(study_name=name, storage=storage)


def _require_local(file: Path) -> None:
    """Refuse a SQLite file on a network file system, where its locks and shared memory do not work."""
    kind = file_system(file.resolve()).removeprefix("fuse.")
    if kind in NETWORK_FILE_SYSTEMS:
        raise ConfigError(
            f"{file}: a SQLite database must be on a local disk, this is a network file system ({kind}); give "
            f"--storage {POSTGRES}://USER@HOST/DATABASE for a server, or --storage {SQLITE}:////LOCAL/studies.db."
        )


def file_system(path: Path) -> str:
    """Return the kind of the file system that a path is on, in lower case; empty where it is unknown."""
    partitions = psutil.disk_partitions(all=True)
    mounts = [mount for mount in partitions if path.is_relative_to(mount.mountpoint)]
    # The innermost mount holds the path. The sort is stable: of several at one point, the latest hides the others.
    mounts.sort(key=lambda mount: len(mount.mountpoint))
    return mounts[-1].fstype.lower() if mounts else ""


def _engine_options(url: URL) -> dict[str, Any]:
    """Return the options with which SQLAlchemy shall create the engine of a storage."""
    if url.drivername == SQLITE:
        options = _connecting(url)
        if not _is_read_only(url):
            options["pool_events"] = [(_set_pragmas, "connect")]
        return options
    # Few connections a process, for a fleet has many processes and a server a limit for all of them.
    return {**_connecting(url), "pool_pre_ping": True, "pool_size": 2, "max_overflow": 2}


def _connecting(url: URL) -> dict[str, Any]:
    """Return those options of `create_engine` that say how to connect."""
    if url.drivername != SQLITE:
        return {"connect_args": _connection_options(url)}
    if _is_read_only(url):
        return {"creator": partial(_connect_reading, Path(url.database or ""))}
    return {"connect_args": {"timeout": BUSY_TIMEOUT_S}}


def _is_read_only(url: URL) -> bool:
    """Whether a SQLite file exists, and it or its folder, where SQLite keeps its log, cannot be written."""
    file = Path(url.database or "")
    is_writable = os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)
    return file.exists() and not is_writable


def _connect_reading(file: Path) -> sqlite3.Connection:
    """Connect to a SQLite file that this process cannot write.

    Without a write-ahead log next to the file no process is writing to it, so SQLite may read it without locks.
    """
    log_file = Path(f"{file}-wal")
    is_written = log_file.exists() and log_file.stat().st_size > 0
    options = "mode=ro" if is_written else "mode=ro&immutable=1"
    uri = f"file:{quote(str(file.resolve()))}?{options}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False)


def _connection_options(url: URL) -> dict[str, int]:
    """Return the settings of `CONNECTION`, without those that a PostgreSQL URL sets itself."""
    return {name: value for name, value in CONNECTION.items() if name not in url.query}


def _set_pragmas(connection: Any, _: Any) -> None:
    """Configure a new SQLite connection for many processes.

    With a write-ahead log, readers never wait for a writer. At the level NORMAL a committed write survives the death of
    the process; a power cut may lose the latest writes, but does not damage the file.
    """
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
