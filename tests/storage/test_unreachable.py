"""Databases as they are found at the start: away for a while, wrongly named, read-only, in the home folder."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import psycopg
import pytest
from sqlalchemy.engine import URL, make_url

from blade_tune.errors import StorageError
from blade_tune.storage import connect as storage
from blade_tune.storage.connect import await_database, open_storage, resolve_url, storage_errors

AWAY = "postgresql://me@127.0.0.1:1/db"  # nothing listens on port 1


def test_a_database_that_is_away_is_waited_for_with_a_line(monkeypatch, caplog):
    """For as long as a running study would; then it is an error. The line says for how long at most."""
    monkeypatch.setattr(storage, "OUTAGE_S", 0.5)
    with pytest.raises(StorageError, match="Connection refused"):
        await_database(resolve_url(AWAY, Path()))
    assert caplog.messages[0].endswith("is away; it is waited for, 0 s at most")
    assert len(caplog.messages) > 1


def test_a_database_that_comes_back_is_reached(monkeypatch, postgres_url: str, caplog):
    """It is asked again and again, and the start goes on."""
    url, away = resolve_url(postgres_url, Path()), resolve_url(AWAY, Path())
    options, tries = storage._connection_options(url), []

    def connect(*_: object, **__: object) -> object:
        tries.append(1)
        return psycopg.connect(_text(away if len(tries) < 3 else url), **options)

    monkeypatch.setattr(storage, "_connecting", lambda _: {"creator": connect})
    await_database(url)
    assert len(tries) == 3
    assert "is away; it is waited for, 300 s at most" in caplog.text


def _text(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.mark.parametrize("wrong", ["host", "port", "option", "database"])
def test_what_waiting_does_not_mend_is_refused_at_once(monkeypatch, postgres_url: str, wrong: str):
    """An unknown host, an impossible port or option, a database that is not there."""
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: pytest.fail("it waits"))
    url = {
        "host": make_url("postgresql+psycopg://me@nowhere.invalid/db"),
        "port": make_url("postgresql+psycopg://me@127.0.0.1:70000/db"),
        "option": make_url("postgresql+psycopg://me@127.0.0.1:1/db?sslmode=bogus"),
        "database": resolve_url(postgres_url, Path()).set(database="none"),
    }[wrong]
    with pytest.raises(StorageError):
        await_database(url)


def test_a_file_that_is_not_there_yet_is_not_waited_for(tmp_path: Path):
    """Nor is it made."""
    await_database(resolve_url(None, tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_the_home_folder_is_where_it_is(tmp_path: Path, monkeypatch):
    """`~` in a URL of SQLite makes no folder of that name."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_url("sqlite:///~/deep/x.db", Path()).database == str(tmp_path / "deep" / "x.db")
    assert resolve_url("sqlite:///a~b.db", Path()).database == "a~b.db"


@pytest.fixture
def closed_place() -> Iterator[Path]:
    """A folder that others may look into."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def without_rights() -> Iterator[None]:
    """Be a user whom a file's mode means something to."""
    if os.getuid():
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def test_results_that_cannot_be_written_are_read(closed_place: Path):
    """Nothing is made beside the file, which may be called anything; what would write to it is one line."""
    results = closed_place / "results ?#%20"
    made = open_storage(resolve_url(None, results), create=True)
    optuna.create_study(study_name="s", storage=made).set_user_attr("kept", 1)
    made.remove_session()
    made.engine.dispose()  # the last connection takes the log away
    file = results / "studies.db"
    (results / "studies.db.lock").unlink(missing_ok=True)
    assert [path.name for path in results.iterdir()] == ["studies.db"]
    file.chmod(0o444)
    results.chmod(0o555)
    url = resolve_url(None, results)
    with without_rights():
        read = open_storage(url, create=False)
        (study,) = read.get_all_studies()
        assert (study.study_name, study.user_attrs) == ("s", {"kept": 1})
        with pytest.raises(StorageError, match="readonly database"), storage_errors(url):
            read.set_study_user_attr(study._study_id, "new", 1)
        read.engine.dispose()
    assert [path.name for path in results.iterdir()] == ["studies.db"]
    results.chmod(0o755)
