"""PostgreSQL that goes away under a running study, and the password in its URL, which is written nowhere."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from pydantic import ValidationError
from sqlalchemy import MetaData, create_engine, select
from sqlalchemy.engine import make_url

from blade_tune.fleet.worker_config import WorkerConfig
from blade_tune.storage.folder import StudyFolder
from tests.cli.program import OWN_IMPORTS, call, write_study
from tests.faults.fleet import TIMEOUT_S, Fleet, cmdline, until
from tests.postgres import OwnServer, Server


@dataclass(frozen=True)
class Outage:
    """The server is stopped in order, or as a crash would, and started again later."""

    mode: Literal["fast", "immediate"]
    seconds: float = 0.0


TRIALS, EPOCHS = 6, 5
OUTAGES = [Outage("fast"), Outage("immediate"), Outage("fast", seconds=30.0)]
SECRET = "s3cret"  # noqa: S105 - the test server asks for none
PASSWORD = SECRET + "{%@/"  # which a URL writes otherwise


@pytest.fixture
def fleet_of_tuner(tmp_path: Path, restartable: OwnServer) -> Iterator[Fleet]:
    """A fleet on a server that can be stopped, whose URL has a password."""
    with restartable.database() as url:
        restartable.execute(f"CREATE ROLE tuner SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
        url = (
            make_url(url)
            .set(username="tuner", password=PASSWORD)
            .render_as_string(hide_password=False)
        )
        fleet = Fleet(tmp_path, url, OWN_IMPORTS)
        yield fleet
        fleet.close()


@pytest.mark.slow
def test_an_outage_only_delays(fleet_of_tuner: Fleet, restartable: OwnServer):
    """Through a stop, a crash and half a minute without a server each trial is trained once: no epoch is done again.

    Workers outlive each outage, also one that is longer than the grace period. All that is told of it, stored and seen
    of the processes has no password.
    """
    fleet = fleet_of_tuner
    fleet.define(TRIALS, EPOCHS)
    run = fleet.start("--workers", "2", "--heartbeat-s", "0.5", "--grace-s", "3", epoch_s=0.3)
    until(lambda: num_epochs(fleet))
    processes = [(cmdline(worker), worker.environ()) for worker in fleet.workers()]
    for outage in OUTAGES:
        done = num_epochs(fleet)
        until(lambda done=done: num_epochs(fleet) > done + 2)
        restartable.stop(outage.mode)
        time.sleep(outage.seconds)
        restartable.start()
    assert run.wait(TIMEOUT_S) == 0, fleet.said

    trials = [trial for trial in fleet.require_whole(TRIALS, EPOCHS) if trial.params]
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * TRIALS
    logs = [
        StudyFolder(fleet.results, "tiny").trial(trial.number).log.read_text() for trial in trials
    ]
    assert [log.count("blade_tune.training.loop epoch=") for log in logs] == [EPOCHS] * TRIALS
    assert " ended (" not in fleet.said
    assert "tuner:***@" in fleet.said
    assert len(processes) == 2
    assert SECRET not in str(processes)
    assert SECRET not in written(fleet)


def num_epochs(fleet: Fleet) -> int:
    """Of all trials."""
    return sum(map(fleet.num_epochs, range(TRIALS)))


def written(fleet: Fleet) -> str:
    """All that is in a fleet's files, what it said among them, and in every table of its database."""
    files = [path.read_text("latin-1") for path in fleet.folder.rglob("*") if path.is_file()]
    engine = create_engine(fleet.url)
    tables = MetaData()
    tables.reflect(engine)
    assert "blade_tune_attempts" in tables.tables
    with engine.connect() as connection:
        return "".join(
            files
            + [repr(connection.execute(select(table)).all()) for table in tables.sorted_tables]
        )


@pytest.mark.parametrize("quiet", [(), ("-q",)], ids=["verbose", "quiet"])
@pytest.mark.parametrize("host", ["localhost:1", "nowhere.invalid"])
def test_a_password_is_in_no_error(tmp_path, host, quiet, monkeypatch):
    """A server that cannot be reached ends the run in 4; the message has the masked URL."""
    monkeypatch.setattr("blade_tune.storage.connect.OUTAGE_S", 0.0)
    write_study(tmp_path / "studies" / "tiny.yaml")
    url = make_url(f"postgresql://tuner@{host}/studies").set(password=PASSWORD)
    ended = call(
        "run", "--study", "tiny", "--storage", url.render_as_string(False), *quiet, cwd=tmp_path
    )
    assert ended.code == 4
    assert f"Error: postgresql+psycopg://tuner:***@{host}/studies: " in ended.err
    assert SECRET not in ended.out + ended.err


def test_a_password_is_in_no_refused_order():
    """A worker of another version than its supervisor says what it misses, not what it got."""
    with pytest.raises(ValidationError, match="Field required") as error:
        WorkerConfig.model_validate(
            {"study": "tiny", "storage": f"postgresql://tuner:{SECRET}@host/db", "new": SECRET}
        )
    assert SECRET[-3:] not in str(error.value)


@pytest.mark.slow
def test_a_database_that_is_gone_for_good_ends_the_run(tmp_path: Path, postgres: Server):
    """One that the server says does not exist is not waited for: exit code 4, and one line that says so."""
    with postgres.database() as url:
        name = make_url(url).database
        fleet = Fleet(tmp_path, url, OWN_IMPORTS)
        try:
            fleet.define(2)
            run = fleet.start(epoch_s=0.3)
            until(fleet.num_epochs)
            postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")
            assert run.wait(TIMEOUT_S) == 4, fleet.said
            assert fleet.said.splitlines()[-1].startswith("Error: postgresql+psycopg://")
            assert fleet.said.endswith("does not exist\n")
            assert "Traceback" not in fleet.said
        finally:
            fleet.close()
            postgres.execute(f"CREATE DATABASE {name}")
