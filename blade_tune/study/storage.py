"""Where studies are stored: a SQLite file by default, any database by URL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from blade_tune.config import guess
from blade_tune.errors import ConfigError, StorageError

POSTGRES = "postgresql+psycopg"
BUSY_TIMEOUT_S = 60


def resolve_url(storage: str | None, results: Path) -> URL:
    """The database of a study: the given URL, else the SQLite file of the results folder.

    `postgres://` and `postgresql://` mean the psycopg 3 driver.

    Raises:
        ConfigError: no URL of a database.
    """
    if storage is None:
        return URL.create("sqlite", database=str(results / "studies.db"))
    try:
        url = make_url(storage)
        if url.drivername in ("postgres", "postgresql"):
            url = url.set(drivername=POSTGRES)
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError):  # the last for a port that is no number
        scheme = storage.partition("://")[0] if "://" in storage else "?"
        raise ConfigError(
            f"--storage must be a database URL such as sqlite:///studies.db or {POSTGRES}://user@host/name, "
            f"got one of scheme {scheme!r}."
        ) from None
    return url


def masked(url: URL) -> str:
    """The URL without its password, for people and logs."""
    return url.render_as_string(hide_password=True)


def open_storage(url: URL, *, create: bool) -> RDBStorage:
    """Connect to a database of studies.

    Args:
        url: from `resolve_url`.
        create: make the file and the tables where there are none; else a missing file is an error.

    Raises:
        StorageError: it cannot be reached, or another version of Optuna made it.
    """
    if url.get_backend_name() == "sqlite" and url.database:
        file = Path(url.database)
        if create:
            file.parent.mkdir(parents=True, exist_ok=True)
        elif not file.exists():
            raise StorageError(f"{file}: no study has been run here; give --results or --storage as `run` had it.")
    # Optuna formats the URL, so braces, of a path or a password, are doubled.
    text = url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    with storage_errors(url):
        try:
            return RDBStorage(text, engine_kwargs=_engine_options(url))
        except RuntimeError as error:  # Optuna's word for tables of another version
            raise StorageError(f"{masked(url)}: {error}") from None


@contextmanager
def storage_errors(url: URL) -> Iterator[None]:
    """Turn a database's errors into one line without the password."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = error.__cause__ or error
        reason = str(getattr(cause, "orig", None) or cause).strip().splitlines()[0]
        raise StorageError(f"{masked(url)}: {reason}") from None


def load_study(storage: RDBStorage, name: str) -> optuna.Study:
    """Open a stored study.

    Raises:
        ConfigError: there is none of this name; the message lists the names.
    """
    names = [study.study_name for study in storage.get_all_studies()]
    if name not in names:
        raise ConfigError(f"no study {name!r} is stored. {guess(name, names)}")
    return optuna.load_study(study_name=name, storage=storage)


def _engine_options(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": BUSY_TIMEOUT_S}, "pool_events": [(_set_pragmas, "connect")]}
    return {"pool_pre_ping": True, "pool_size": 2, "max_overflow": 2}


def _set_pragmas(connection: Any, _: Any) -> None:
    """Readers never wait for a writer; a write survives the process, the latest ones perhaps not a power cut."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
