"""`storage`: an old database made current, and a study copied into another database."""

import json
import sqlite3
from pathlib import Path

import pytest

from tests.cli.program import call, finish, start


def execute(database: Path, *statements: str) -> None:
    connection = sqlite3.connect(database)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_an_old_database_is_refused_until_it_is_upgraded(finished_copy):
    """Commands end in 4 and name `storage upgrade`; after it they work, and it finds nothing more to do."""
    file = finished_copy / "results" / "studies.db"
    execute(
        file, "DROP INDEX ix_trials_study_id", "UPDATE alembic_version SET version_num = 'v3.0.0.d'"
    )
    refused = call("status", "--study", "tiny", cwd=finished_copy)
    assert (refused.code, refused.out) == (4, "")
    assert "of version v3.0.0.d" in refused.err
    assert refused.err.endswith("run `blade-tune storage upgrade`.\n")
    upgraded = finish(start("storage", "upgrade", cwd=finished_copy))
    now = "v3.2.0.a"
    assert (upgraded.code, upgraded.err) == (0, "")
    assert (
        upgraded.out == f"sqlite:///results/studies.db: upgraded from version v3.0.0.d to {now}.\n"
    )
    assert call("status", "--study", "tiny", cwd=finished_copy).code == 0
    again = call("storage", "upgrade", cwd=finished_copy)
    assert (again.code, again.out, again.err) == (
        0,
        f"sqlite:///results/studies.db: is current, version {now}.\n",
        "",
    )


def test_a_newer_database_is_refused(finished_copy):
    """The tables of a newer Optuna end the upgrade in 4."""
    execute(
        finished_copy / "results" / "studies.db",
        "UPDATE alembic_version SET version_num = 'v9.0.0.a'",
    )
    ended = call("storage", "upgrade", cwd=finished_copy)
    assert (ended.code, ended.out) == (4, "")
    assert "a newer Optuna than this one" in ended.err


def test_nothing_to_upgrade_is_no_database(tmp_path):
    """Where no study was run, the upgrade ends in 4 and makes nothing."""
    assert call("storage", "upgrade", cwd=tmp_path).code == 4
    assert list(tmp_path.iterdir()) == []


def test_a_study_goes_on_in_its_copy(finished_copy, database_url):
    """The copy says what the study says, and a run goes on there with the same files; the study here stays."""
    before = call("status", "--study", "tiny", "-f", "json", cwd=finished_copy).out
    copied = call("storage", "copy", "--study", "tiny", "--to", database_url, cwd=finished_copy)
    assert (copied.code, copied.err) == (0, "")
    assert copied.out.startswith("study tiny: 3 complete copied to ")
    assert (
        call(
            "status", "--study", "tiny", "--storage", database_url, "-f", "json", cwd=finished_copy
        ).out
        == before
    )
    more = ("run", "--study", "tiny", "--trials", "4", "--storage", database_url, "-q")
    assert call(*more, cwd=finished_copy).code == 0
    there = call(
        "status", "--study", "tiny", "--storage", database_url, "-f", "json", cwd=finished_copy
    ).out
    assert json.loads(there)["scored"] == 4
    assert call("status", "--study", "tiny", "-f", "json", cwd=finished_copy).out == before


@pytest.mark.parametrize(
    ("code", "words", "told"),
    [
        (
            2,
            "--study tiny --to sqlite:///results/studies.db",
            "a study 'tiny' is stored there already.",
        ),
        (2, "--study tiney --to sqlite:///other.db", "Did you mean tiny?"),
        (2, "--study tiny --to other.db", "must be a database URL"),
        (2, "--study tiny", "Missing option '--to'"),
        (4, "--study tiny --to postgresql://me:hunter2@127.0.0.1:1/studies", "me:***@127.0.0.1"),
        (
            4,
            "--study tiny --to sqlite:///other.db --storage sqlite:///none.db",
            "no study has been run here",
        ),
    ],
)
def test_what_cannot_be_copied_is_refused(finished_copy, code, words, told):
    """Nothing on stdout, the reason on stderr without a password, and no half copy."""
    ended = call("storage", "copy", *words.split(), cwd=finished_copy)
    assert (ended.code, ended.out) == (code, "")
    assert told in ended.err
    assert "hunter2" not in ended.err
    assert not (finished_copy / "other.db").exists()
