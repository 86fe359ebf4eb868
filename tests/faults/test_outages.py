"""PostgreSQL that goes away under a running study, and the password in its URL, which is written nowhere."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import MetaData, create_engine, select
from sqlalchemy.engine import make_url

from blade_tune.study.folder import StudyFolder
from tests.cli.program import call, write_study
from tests.faults.fleet import TIMEOUT_S, Fleet, cmdline, until
from tests.postgres import OwnServer, Server, own_server

TRIALS, EPOCHS = 6, 5
AWAY_S = 30.0
SECRET = "s3cret"  # noqa: S105 - the test server asks for none
PASSWORD = SECRET + "{%@/"  # which a URL writes otherwise


@dataclass
class Story:
    """A study that was run through three outages."""

    fleet: Fleet
    server: OwnServer
    code: int = -1
    processes: list[str] = field(default_factory=list)  # command line and environment of every worker


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Two workers; the server stops, crashes, and then is away for half a minute, longer than the grace period."""
    with own_server() as server, server.database() as url:
        server.execute(f"CREATE ROLE tuner SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
        url = make_url(url).set(username="tuner", password=PASSWORD).render_as_string(hide_password=False)
        story = Story(Fleet(tmp_path_factory.mktemp("outages"), url), server)
        try:
            run_through_outages(story)
            yield story
        finally:
            story.fleet.close()


def run_through_outages(story: Story) -> None:
    fleet = story.fleet
    fleet.define(TRIALS, EPOCHS)
    run = fleet.start("--workers", "2", "--heartbeat-s", "0.5", "--grace-s", "3", epoch_s=0.3)
    outages: list[tuple[Literal["fast", "immediate"], float]] = [("fast", 0.0), ("immediate", 0.0), ("fast", AWAY_S)]
    for mode, seconds in outages:
        done = num_epochs(fleet)
        until(lambda done=done: num_epochs(fleet) > done + 2)
        story.server.stop(mode)
        time.sleep(seconds)
        story.server.start()
    for worker in fleet.workers():
        story.processes += [" ".join(cmdline(worker)), str(worker.environ())]
    story.code = run.wait(TIMEOUT_S)


def num_epochs(fleet: Fleet) -> int:
    """Of all trials."""
    return sum(map(fleet.num_epochs, range(TRIALS)))


@pytest.mark.slow
def test_an_outage_only_delays(story: Story):
    """The run ends in 0 with the exact number of trials, each trained once: no epoch was trained again.

    Workers outlive each outage, also one that is longer than the grace period.
    """
    assert story.code == 0, story.fleet.said
    trials = story.fleet.require_whole(TRIALS, EPOCHS)
    assert [trial.state.name for trial in trials if trial.params] == ["COMPLETE"] * TRIALS
    for trial in trials:
        if trial.params:
            log = StudyFolder(story.fleet.results, "tiny").trial(trial.number).log.read_text()
            assert log.count("blade_tune.training.loop epoch=") == EPOCHS
    assert "is away" in story.fleet.said
    assert " ended (" not in story.fleet.said


@pytest.mark.slow
def test_a_password_is_written_nowhere(story: Story):
    """No output, no file, no row, no command line and no environment of a worker holds it."""
    files = [path for path in story.fleet.folder.rglob("*") if path.is_file()]
    engine = create_engine(story.fleet.url)
    tables = MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        rows = [repr(row) for table in tables.sorted_tables for row in connection.execute(select(table))]
    written = "".join([story.fleet.said, *rows, *story.processes, *(path.read_text("latin-1") for path in files)])
    assert "blade_tune_attempts" in tables.tables
    assert "tuner:***@" in written
    assert SECRET not in written


@pytest.mark.parametrize("quiet", [(), ("-q",)], ids=["verbose", "quiet"])
@pytest.mark.parametrize("host", ["localhost:1", "nowhere.invalid"])
def test_a_password_is_in_no_error(tmp_path, host, quiet):
    """A server that cannot be reached ends the run in 4; the message has the masked URL."""
    write_study(tmp_path / "studies" / "tiny.yaml")
    url = make_url(f"postgresql://tuner@{host}/studies").set(password=PASSWORD)
    ended = call("run", "--study", "tiny", "--storage", url.render_as_string(False), *quiet, cwd=tmp_path)
    assert ended.code == 4
    assert f"Error: postgresql+psycopg://tuner:***@{host}/studies: " in ended.err
    assert SECRET not in ended.out + ended.err


@pytest.mark.slow
def test_a_database_that_is_gone_for_good_ends_the_run(tmp_path: Path, postgres: Server):
    """One that the server says does not exist is not waited for: exit code 4, and one line that says so."""
    with postgres.database() as url:
        name = make_url(url).database
        fleet = Fleet(tmp_path, url)
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
