"""Databases as they are found at the start: away for a while, wrongly named, read-only, in the home folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import optuna
import psycopg
import pytest
from sqlalchemy.engine import URL, make_url

from blade_tune.errors import StorageError
from blade_tune.study import storage
from blade_tune.study.storage import await_database, open_storage, resolve_url

AWAY = "postgresql://me@127.0.0.1:1/db"  # nothing listens on port 1
READS = """
import sys
from pathlib import Path
from blade_tune.study.storage import open_storage, resolve_url
(study,) = open_storage(resolve_url(None, Path(sys.argv[1])), create=False).get_all_studies()
print(study.study_name, study.user_attrs)
"""


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


def test_results_that_cannot_be_written_are_read(tmp_path: Path):
    """Nothing is made beside the file, which may be called anything; a process without rights to it reads it."""
    results = tmp_path / "results ?#%20"
    study = optuna.create_study(study_name="s", storage=open_storage(resolve_url(None, results), create=True))
    study.set_user_attr("kept", 1)
    del study
    shutil.copytree(results, tmp_path / "closed")  # its log is of processes that are not there any more
    file = tmp_path / "closed" / "studies.db"
    subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sqlite3; sqlite3.connect({str(file)!r}).execute('PRAGMA wal_checkpoint(TRUNCATE)')",
        ],
        check=True,
    )
    for path in (tmp_path / "closed").glob("studies.db?*"):
        path.unlink()
    for path in (file, file.parent):
        path.chmod(0o555 if path.is_dir() else 0o444)
    user = {} if os.getuid() else {"user": 65534, "group": 65534, "extra_groups": []}
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    command = [sys.executable, "-c", READS, str(tmp_path / "closed")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, **user)
    if "Permission denied" in ended.stderr and "studies.db" not in ended.stderr:
        pytest.skip("others may not run this Python")
    assert ended.stdout == "s {'kept': 1}\n", ended.stderr
    assert [path.name for path in (tmp_path / "closed").iterdir()] == ["studies.db"]
