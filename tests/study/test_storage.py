"""The database: URLs, what is shown of them, and errors with a way out."""

import sqlite3
import time
from pathlib import Path

import optuna
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from blade_tune.errors import ConfigError, StorageError
from blade_tune.study.storage import load_study, masked, open_storage, resolve_url, storage_errors

POSTGRES_URL = "postgresql+psycopg://me:s3cret@127.0.0.1:1/studies"  # nothing listens on port 1


@pytest.mark.parametrize(
    ("given", "drivername"),
    [
        ("postgres://me@host/db", "postgresql+psycopg"),
        ("postgresql://me@host/db", "postgresql+psycopg"),
        ("postgresql+psycopg://me@host/db", "postgresql+psycopg"),
        ("sqlite:///x.db", "sqlite"),
    ],
)
def test_postgres_means_psycopg_3(given: str, drivername: str):
    """Each usual spelling of a PostgreSQL URL gives the driver that is installed; SQLite stays."""
    url = resolve_url(given, Path())
    assert url.drivername == drivername
    assert url.database == make_url(given).database


def test_without_a_url_it_is_a_file_of_the_results():
    """The default is studies.db in the results folder."""
    assert resolve_url(None, Path("some/results")).render_as_string() == "sqlite:///some/results/studies.db"


@pytest.mark.parametrize("given", ["studies.db", "oracel://me:s3cret@host/db", "redis://host", "://", ""])
def test_what_is_no_database_is_refused(given: str):
    """A URL of no known database is refused with an example, and its password is not repeated."""
    with pytest.raises(
        ConfigError, match=r"^--storage must be a database URL such as sqlite:///studies\.db or"
    ) as error:
        resolve_url(given, Path())
    assert "s3cret" not in str(error.value)


def test_passwords_are_masked():
    """What is shown of a URL has no password."""
    assert masked(make_url(POSTGRES_URL)) == "postgresql+psycopg://me:***@127.0.0.1:1/studies"


def test_an_unreachable_database_is_one_line_without_the_password():
    """No server is a StorageError, exit code 4, at once, with the address and without the password."""
    start = time.monotonic()
    with pytest.raises(StorageError, match=r"^postgresql\+psycopg://me:\*\*\*@127\.0\.0\.1:1/studies: ") as error:
        open_storage(resolve_url(POSTGRES_URL, Path()), create=True)
    assert error.value.exit_code == 4
    assert "s3cret" not in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("password", ["a{b}c", "{", "}}", "{0}", "%7B", "p@ss:w/rd"])
def test_a_password_may_hold_anything(password: str, monkeypatch: pytest.MonkeyPatch):
    """The database gets the password as it is, braces included, which Optuna would take for a template."""
    reached: list[str | None] = []

    def connect(url: str, **_: object) -> None:
        filled = url.format(SCHEMA_VERSION="x")  # as Optuna does
        reached.append(make_url(filled).password)

    monkeypatch.setattr("blade_tune.study.storage.RDBStorage", connect)
    open_storage(resolve_url(POSTGRES_URL, Path()).set(password=password), create=True)
    assert reached == [password]


@pytest.mark.parametrize("folder", ["plain", "deep/er", "with {braces} and space", "100%"])
def test_a_results_folder_may_be_called_anything(tmp_path: Path, folder: str):
    """The SQLite file is made where it was asked for, with its folders."""
    results = tmp_path / folder
    open_storage(resolve_url(None, results), create=True)
    assert (results / "studies.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [folder.partition("/")[0]]


def test_sqlite_is_opened_for_readers_beside_a_writer(tmp_path: Path):
    """A new file is in WAL mode, for this connection and all later ones, and waits a minute for a lock."""
    storage = open_storage(resolve_url(None, tmp_path), create=True)
    with storage.engine.connect() as connection:
        pragmas = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")
        }
        assert connection.execute(text("PRAGMA busy_timeout")).scalar() == 60_000
    assert pragmas == {"journal_mode": "wal", "synchronous": 1}  # 1 is NORMAL
    plain = sqlite3.connect(tmp_path / "studies.db")
    assert plain.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    plain.close()


def test_a_missing_file_is_not_made_for_a_reader(tmp_path: Path):
    """A command that only reads refuses a missing file, says what to give, and leaves the folder empty."""
    expected = r"studies\.db: no study has been run here; give --results or --storage as `run` had it\.$"
    with pytest.raises(StorageError, match=expected):
        open_storage(resolve_url(None, tmp_path), create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_refused(tmp_path: Path):
    """Any other file in its place is a StorageError of one line."""
    (tmp_path / "studies.db").write_bytes(b"not a database, but long enough to be read as one" * 30)
    with pytest.raises(StorageError, match=r"studies\.db: file is not a database$"):
        open_storage(resolve_url(None, tmp_path), create=False)


def test_a_database_of_another_version_is_refused(tmp_path: Path):
    """Tables of another Optuna are a StorageError, not a traceback."""
    url = resolve_url(None, tmp_path)
    storage = open_storage(url, create=True)
    with storage.engine.begin() as connection:
        connection.execute(text("UPDATE version_info SET schema_version = 1"))
        connection.execute(text("UPDATE alembic_version SET version_num = 'v0.0.0'"))
    with pytest.raises(StorageError, match=r"studies\.db: .*version"):
        open_storage(url, create=False)


def test_an_unknown_study_gets_a_guess(tmp_path: Path):
    """A name that is not stored is refused with the nearest one that is."""
    storage = open_storage(resolve_url(None, tmp_path), create=True)
    optuna.create_study(study_name="demo", storage=storage)
    assert load_study(storage, "demo").study_name == "demo"
    with pytest.raises(ConfigError, match=r"^no study 'dmeo' is stored\. Did you mean demo\?$"):
        load_study(storage, "dmeo")


def test_a_failure_in_the_middle_of_a_run_is_a_storage_error(tmp_path: Path):
    """Whatever the database answers later is one line too."""
    url = resolve_url(None, tmp_path)
    storage = open_storage(url, create=True)
    with storage.engine.begin() as connection:
        connection.execute(text("DROP TABLE studies"))
    with pytest.raises(StorageError, match=r"no such table: studies$"), storage_errors(url):
        storage.get_all_studies()


@pytest.mark.parametrize("given", ["postgresql://u@host:port/x", "mysq://x/y", "nothing"])
def test_what_is_no_url_is_refused_in_one_line(given: str):
    """A scheme or a port that cannot be is a configuration error, whatever the database."""
    with pytest.raises(ConfigError, match="must be a database URL"):
        resolve_url(given, Path())
