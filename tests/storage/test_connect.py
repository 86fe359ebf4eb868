"""The database: URLs, what is shown of them, and errors with a way out."""

import sqlite3
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import psycopg
import pytest
from sqlalchemy import NullPool, create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError

from blade_tune.errors import ConfigError, NothingStoredError, StorageError
from blade_tune.storage import connect as storage
from blade_tune.storage.connect import (
    connect,
    creating,
    load_study,
    masked,
    open_storage,
    resolve_url,
    storage_errors,
)
from tests.crowd import PROCESSES, Crowd

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
    assert (
        resolve_url(None, Path("some/results")).render_as_string()
        == "sqlite:///some/results/studies.db"
    )


@pytest.mark.parametrize(
    "given",
    [
        *("studies.db", "oracel://me:s3cret@host/db", "redis://host", "://", ""),
        *(
            "mysql://me:s3cret@host/db",
            "postgresql+psycopg2://me:s3cret@host/db",
            "sqlite://",
            "sqlite:///:memory:",
        ),
    ],
)
def test_what_is_no_database_is_refused(given: str):
    """A URL of no known database is refused with an example, and its password is not repeated."""
    with pytest.raises(
        ConfigError,
        match=r"^the storage must be a database URL, sqlite:///FILE or postgresql\+psycopg://",
    ) as error:
        resolve_url(given, Path())
    assert "s3cret" not in str(error.value)


def test_passwords_are_masked():
    """What is shown of a URL has no password."""
    assert masked(make_url(POSTGRES_URL)) == "postgresql+psycopg://me:***@127.0.0.1:1/studies"


def test_an_unreachable_database_is_one_line_without_the_password():
    """No server is a StorageError, exit code 4, at once, with the address and without the password."""
    start = time.monotonic()
    with pytest.raises(
        StorageError, match=r"^postgresql\+psycopg://me:\*\*\*@127\.0\.0\.1:1/studies: "
    ) as error:
        open_storage(resolve_url(POSTGRES_URL, Path()), create=True)
    assert error.value.exit_code == 4
    assert "s3cret" not in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("password", ["a{b}c", "{", "}}", "{0}", "%7B", "p@ss:w/rd"])
def test_a_password_may_hold_anything(password: str, monkeypatch: pytest.MonkeyPatch):
    """The database gets the password as it is, braces included, which Optuna would take for a template."""
    reached: list[str | None] = []

    def reach(url: str, *_: object, **__: object) -> None:
        filled = url.format(SCHEMA_VERSION="x")  # as Optuna does
        reached.append(make_url(filled).password)

    monkeypatch.setattr("blade_tune.storage.connect.StudyStorage", reach)
    connect(resolve_url(POSTGRES_URL, Path()).set(password=password), create=False)
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
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous")
        }
        assert connection.execute(text("PRAGMA busy_timeout")).scalar() == 60_000
    assert pragmas == {"journal_mode": "wal", "synchronous": 1}  # 1 is NORMAL
    plain = sqlite3.connect(tmp_path / "studies.db")
    assert plain.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    plain.close()


def test_a_missing_file_is_not_made_for_a_reader(tmp_path: Path):
    """A command that only reads refuses a missing file, says what to give, and leaves the folder empty."""
    expected = (
        r"studies\.db: no study has been run here; give --results or --storage as `run` had it\.$"
    )
    with pytest.raises(NothingStoredError, match=expected):
        open_storage(resolve_url(None, tmp_path), create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_refused(tmp_path: Path):
    """Any other file in its place is a StorageError of one line."""
    (tmp_path / "studies.db").write_bytes(b"not a database, but long enough to be read as one" * 30)
    with pytest.raises(StorageError, match=r"studies\.db: file is not a database$"):
        open_storage(resolve_url(None, tmp_path), create=False)


@pytest.mark.parametrize(
    ("version", "way_out"),
    [
        ("v3.0.0.d", r"run `blade-tune storage upgrade`\.$"),
        ("v9.0.0.a", r"a newer Optuna than this one made .*use that"),
    ],
)
@pytest.mark.parametrize("create", [False, True])
def test_a_database_of_another_version_is_refused(
    tmp_path: Path, version: str, way_out: str, create: bool
):
    """Tables of another Optuna are a StorageError that tells how to go on."""
    url = resolve_url(None, tmp_path)
    storage = open_storage(url, create=True)
    with storage.engine.begin() as connection:
        connection.execute(
            text("UPDATE alembic_version SET version_num = :version"), {"version": version}
        )
    with pytest.raises(
        StorageError, match=rf"studies\.db: its tables are of version {version}, .*{way_out}"
    ):
        open_storage(url, create=create)


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


def test_tables_are_not_made_for_a_reader(postgres_url: str):
    """A command that only reads refuses a server's empty database, says what to give, and leaves it empty."""
    url = resolve_url(postgres_url, Path())
    with pytest.raises(
        NothingStoredError, match=r"no study has been run here; give --results or --storage"
    ):
        open_storage(url, create=False)
    engine = create_engine(url, poolclass=NullPool)
    assert inspect(engine).get_table_names() == []


def open_new(_: int, url: str) -> str:
    storage = open_storage(resolve_url(url, Path()), create=True)
    with creating(resolve_url(url, Path())):
        if not storage.get_all_studies():
            optuna.create_study(study_name="s", storage=storage)
    return storage.get_current_version()


def test_an_empty_database_may_be_opened_by_many_at_once(database_url: str, crowd: Crowd):
    """Of eight processes that open an empty database and make a study, none fails, and there is one study."""
    versions = crowd.run(open_new, database_url)
    storage = open_storage(resolve_url(database_url, Path()), create=False)
    assert set(versions) == {storage.get_head_version()}
    assert [study.study_name for study in storage.get_all_studies()] == ["s"]


def overlap(index: int, url: str, folder: Path) -> list[str]:
    with creating(resolve_url(url, Path())):
        mine = folder / str(index)
        mine.touch()
        time.sleep(0.02)
        seen = [path.name for path in folder.iterdir()]
        mine.unlink()
    return seen


def test_creating_is_done_by_one_at_a_time(database_url: str, crowd: Crowd, tmp_path: Path):
    """Inside `creating` a process is alone, and an error in it leaves nothing locked."""
    folder = tmp_path / "inside"
    folder.mkdir()
    with pytest.raises(ZeroDivisionError), creating(resolve_url(database_url, Path())):
        raise ZeroDivisionError
    assert crowd.run(overlap, database_url, folder) == [[str(index)] for index in range(PROCESSES)]


def test_waiting_for_another_creator_ends(database_url: str, monkeypatch: pytest.MonkeyPatch):
    """A process that never ends its creating is a storage error for others, after a while."""
    monkeypatch.setattr("blade_tune.storage.connect.CREATION_S", 1)
    url = resolve_url(database_url, Path())
    with (
        creating(url),
        pytest.raises(StorageError, match=r"held it for 1 s|lock timeout"),
        creating(url),
    ):
        pass


def mounted(monkeypatch: pytest.MonkeyPatch, **kinds: str) -> None:
    mounts = [SimpleNamespace(mountpoint=point, fstype=kind) for point, kind in kinds.items()]
    monkeypatch.setattr("psutil.disk_partitions", lambda **_: mounts)


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "lustre", "beegfs", "NFS"])
def test_a_file_on_a_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
):
    """SQLite is refused there, with the line that puts the study on a server, and nothing is made."""
    mounted(monkeypatch, **{"/": "ext4", str(tmp_path / "shared"): kind})
    with pytest.raises(
        ConfigError, match=r"--storage postgresql\+psycopg://USER@HOST/DATABASE"
    ) as error:
        open_storage(resolve_url(None, tmp_path / "shared" / "results"), create=True)
    assert kind.lower().removeprefix("fuse.") in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "kinds",
    [
        {"/": "nfs4", "HERE": "ext4"},
        {"/": "ext4", "HERE/results-old": "nfs4"},
        {"HERE": "fuseblk"},
        {},
    ],
)
def test_the_nearest_mount_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kinds: dict[str, str]
):
    """A local disk below or beside a network file system is fine; so is what is not known."""
    mounted(
        monkeypatch, **{point.replace("HERE", str(tmp_path)): kind for point, kind in kinds.items()}
    )
    open_storage(resolve_url(None, tmp_path / "results"), create=True)


def test_a_url_may_say_how_it_is_connected(postgres_url: str):
    """A vanished server is noticed by libpq's own means, and what the URL says of them wins."""
    url = resolve_url(postgres_url, Path())
    for query, expected in (({}, "30000"), ({"tcp_user_timeout": "5000"}, "5000")):
        storage = open_storage(url.update_query_dict(query), create=True)
        with storage.engine.connect() as connection:
            driver = connection.connection.dbapi_connection
            assert isinstance(driver, psycopg.Connection)
            assert driver.info.get_parameters()["connect_timeout"] == "10"
            assert driver.info.get_parameters()["tcp_user_timeout"] == expected


def test_a_database_that_is_made_at_this_moment_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Optuna writes its version wherever it opens; where another process did so just before, that is no error."""
    url = resolve_url(None, tmp_path)
    open_storage(url, create=True)
    made, tries = storage.StudyStorage, []

    def late(*args: Any, **options: Any) -> Any:
        tries.append(args)
        if len(tries) == 1:
            raise IntegrityError("INSERT", {}, sqlite3.IntegrityError("UNIQUE constraint failed"))
        return made(*args, **options)

    monkeypatch.setattr(storage, "StudyStorage", late)
    assert open_storage(url, create=False).get_all_studies() == []
    assert len(tries) == 2
