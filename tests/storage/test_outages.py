"""The storage through outages: what it waits for, what it does not, and that a repeated call harms nothing."""

import inspect
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import psycopg
import pytest
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import TrialState
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from blade_tune.storage import optuna_storage
from blade_tune.storage.connect import open_storage, resolve_url
from blade_tune.storage.optuna_storage import StudyStorage, is_outage, reason_of

NOT_PATIENT = {"create_new_study", "delete_study"}  # see StudyStorage


def patient_storage(url: str) -> tuple[StudyStorage, optuna.Study]:
    """A storage with an empty study, number 1."""
    storage = open_storage(resolve_url(url, Path()), create=True, outage_s=300)
    return storage, optuna.create_study(study_name="s", storage=storage, direction="maximize")


def sqlite_error(message: str, code: int) -> OperationalError:
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return OperationalError("", {}, error)


def postgres_error(kind: type[psycopg.Error], message: str) -> DBAPIError:
    return OperationalError("", {}, kind(message))


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call is repeated soon."""
    monkeypatch.setattr(optuna_storage, "MAX_WAIT_S", 0.02)


BUSY = sqlite_error("database is locked", sqlite3.SQLITE_BUSY)


class Outage:
    """Lets a database fail the next few times: before a statement, or when the answer to a commit should come."""

    def __init__(self, storage: StudyStorage, times: int, *, after_commit: bool = False) -> None:
        self.times = times
        self.after_commit = after_commit
        event.listen(
            storage.engine, "commit" if after_commit else "before_cursor_execute", self._fail
        )

    def _fail(self, connection: Any, *_: Any) -> None:
        if self.times == 0:
            return
        self.times -= 1
        if self.after_commit:
            connection.connection.dbapi_connection.commit()
        raise BUSY


CALLS: dict[str, Callable[[StudyStorage], Any]] = {
    "create_new_trial": lambda s: s.create_new_trial(1),
    "get_all_studies": lambda s: s.get_all_studies(),
    "get_all_trials": lambda s: s.get_all_trials(1),
    "get_best_trial": lambda s: s.get_best_trial(1),
    "get_n_trials": lambda s: s.get_n_trials(1),
    "get_study_directions": lambda s: s.get_study_directions(1),
    "get_study_id_from_name": lambda s: s.get_study_id_from_name("s"),
    "get_study_name_from_id": lambda s: s.get_study_name_from_id(1),
    "get_study_system_attrs": lambda s: s.get_study_system_attrs(1),
    "get_study_user_attrs": lambda s: s.get_study_user_attrs(1),
    "get_trial": lambda s: s.get_trial(2),
    "get_trial_id_from_study_id_trial_number": lambda s: s.get_trial_id_from_study_id_trial_number(
        1, 1
    ),
    "get_trial_number_from_id": lambda s: s.get_trial_number_from_id(2),
    "get_trial_param": lambda s: s.get_trial_param(2, "x"),
    "get_trial_params": lambda s: s.get_trial_params(2),
    "get_trial_system_attrs": lambda s: s.get_trial_system_attrs(2),
    "get_trial_user_attrs": lambda s: s.get_trial_user_attrs(2),
    "set_study_system_attr": lambda s: s.set_study_system_attr(1, "a", 1),
    "set_study_user_attr": lambda s: s.set_study_user_attr(1, "a", 1),
    "set_trial_intermediate_value": lambda s: s.set_trial_intermediate_value(2, 7, 0.5),
    "set_trial_param": lambda s: s.set_trial_param(
        2, "y", 0.5, optuna.distributions.FloatDistribution(0, 1)
    ),
    "set_trial_state_values": lambda s: s.set_trial_state_values(2, TrialState.COMPLETE, [0.5]),
    "set_trial_system_attr": lambda s: s.set_trial_system_attr(2, "a", 1),
    "set_trial_user_attr": lambda s: s.set_trial_user_attr(2, "a", 1),
    "give_away": lambda s: s.give_away(1, 1, {"reason": "lost"}, None),
}


@pytest.fixture
def patient(tmp_path: Path) -> StudyStorage:
    """A storage with a study, number 1, whose trial 1 is complete and whose trial 2 runs."""
    storage, study = patient_storage(f"sqlite:///{tmp_path}/studies.db")
    study.tell(study.ask(), 1.0)
    study.ask().suggest_float("x", 0, 1)
    return storage


def test_every_call_is_tried():
    """The calls above are all that a storage has, but for Optuna's heartbeats and what is not patient."""
    public = {
        name
        for name, _ in inspect.getmembers(BaseStorage, inspect.isfunction)
        if not name.startswith("_")
    }
    without_database = {"check_trial_is_updatable", "remove_session"}
    assert set(CALLS) - {"give_away"} == public - without_database - NOT_PATIENT


@pytest.mark.parametrize("name", CALLS)
def test_every_call_outlasts_an_outage(patient, name):
    """A database that fails twice delays a call, and changes nothing in its result."""
    outage = Outage(patient, times=2)
    CALLS[name](patient)
    assert outage.times == 0


@pytest.mark.parametrize(
    "name", [name for name in CALLS if name.startswith(("set_", "create_", "give_"))]
)
def test_a_repeated_write_harms_nothing(patient, name):
    """Where a commit's answer was lost, the repeated call stores the same, or says that the trial has ended."""
    before = {trial.number: trial for trial in patient.get_all_trials(1)}
    Outage(patient, times=1, after_commit=True)
    if name == "set_trial_state_values":
        with pytest.raises(UpdateFinishedTrialError):
            CALLS[name](patient)
        assert patient.get_trial(2).state == TrialState.COMPLETE
        return
    answer = CALLS[name](patient)
    if name == "give_away":
        assert answer is False
        assert patient.get_trial(2).state == TrialState.FAIL
    extra = [trial for trial in patient.get_all_trials(1) if trial.number not in before]
    assert [trial.state for trial in extra] == [TrialState.RUNNING] * (
        2 if name == "create_new_trial" else 0
    )


def test_a_wait_is_a_line_without_the_password(patient, caplog, monkeypatch):
    """Each wait is a warning with the masked URL, how long it is, and what the database said."""
    monkeypatch.setattr(patient.engine, "url", make_url("postgresql://me:s3cret@host/db"))
    Outage(patient, times=2)
    with caplog.at_level(logging.WARNING, "blade_tune"):
        patient.get_all_studies()
    assert len(caplog.messages) == 2
    assert all(
        "is away, next try in" in line and line.endswith("database is locked")
        for line in caplog.messages
    )
    assert "me:***@" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize("outage_s", [0.0, 0.5])
def test_patience_ends(patient, outage_s):
    """A call waits as long as it was told to, and then fails with the database's error."""
    patient.outage_s = outage_s
    outage = Outage(patient, times=10**9)
    start = time.monotonic()
    with pytest.raises(StorageInternalError):
        patient.get_all_studies()
    assert outage_s <= time.monotonic() - start < outage_s + 6
    assert (10**9 - outage.times == 1) == (outage_s == 0)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (BUSY, True),
        (sqlite_error("database is locked", sqlite3.SQLITE_BUSY_SNAPSHOT), True),
        (sqlite_error("database or disk is full", sqlite3.SQLITE_FULL), False),
        (sqlite_error("attempt to write a readonly database", sqlite3.SQLITE_READONLY), False),
        (sqlite_error("no such table: studies", sqlite3.SQLITE_ERROR), False),
        (postgres_error(psycopg.OperationalError, "connection refused"), True),
        (
            postgres_error(psycopg.OperationalError, "FATAL:  the database system is starting up"),
            True,
        ),
        (
            postgres_error(
                psycopg.OperationalError, 'FATAL:  password authentication failed for user "me"'
            ),
            False,
        ),
        (postgres_error(psycopg.OperationalError, "fe_sendauth: no password supplied"), False),
        (postgres_error(psycopg.OperationalError, 'FATAL:  database "x" does not exist'), False),
        (postgres_error(psycopg.errors.AdminShutdown, "terminating connection"), True),
        (postgres_error(psycopg.errors.TooManyConnections, "too many clients"), True),
        (postgres_error(psycopg.errors.DeadlockDetected, "deadlock detected"), True),
        (postgres_error(psycopg.errors.DiskFull, "no space left"), False),
        (postgres_error(psycopg.errors.QueryCanceled, "statement timeout"), False),
        (IntegrityError("", {}, sqlite3.IntegrityError("UNIQUE")), False),
        (KeyError("Record does not exist."), False),
    ],
    ids=lambda value: str(getattr(value, "orig", value)).replace(" ", "-"),
)
def test_only_what_passes_is_waited_for(error, expected):
    """A database that is away or busy is waited for; one that is full, read-only or refuses is not."""
    assert is_outage(error) is expected


@pytest.mark.slow
def test_a_server_that_is_away_delays_and_harms_nothing(restartable, monkeypatch):
    """Reports outlast a stop, a crash and a kill of PostgreSQL, on the open connection and on new ones.

    So does a worker that is started meanwhile.
    """
    monkeypatch.setattr("blade_tune.storage.optuna_storage.MAX_WAIT_S", 0.5)
    with restartable.database() as url:
        _, study = patient_storage(url)
        trial = study.ask()
        for step, end in enumerate(
            [restartable.stop, lambda: restartable.stop("immediate"), restartable.kill]
        ):
            end()
            back = threading.Timer(0.7, restartable.start)
            back.start()
            trial.report(0.5, step)
            back.join()
        study.tell(trial, 0.5)
        assert study.get_trials()[0].intermediate_values == {0: 0.5, 1: 0.5, 2: 0.5}
        restartable.stop()
        back = threading.Timer(0.7, restartable.start)
        back.start()
        worker_that_starts_now = open_storage(resolve_url(url, Path()), create=False, outage_s=60)
        back.join()
        assert [one.study_name for one in worker_that_starts_now.get_all_studies()] == ["s"]


def test_a_locked_file_delays(tmp_path, monkeypatch, caplog):
    """A call waits for a SQLite file that another program holds for longer than the busy timeout."""
    monkeypatch.setattr("blade_tune.storage.connect.BUSY_TIMEOUT_S", 0.1)
    storage, study = patient_storage(f"sqlite:///{tmp_path}/studies.db")
    trial = study.ask()
    other = sqlite3.connect(tmp_path / "studies.db", check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(0.7, other.rollback)
    release.start()
    trial.report(0.5, 1)
    release.join()
    other.close()
    assert storage.get_trial(trial._trial_id).intermediate_values == {1: 0.5}
    assert "database is locked" in caplog.text


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        ("PRAGMA max_page_count = 1", "database or disk is full"),
        ("PRAGMA query_only = 1", "attempt to write a readonly database"),
        ("DROP TABLE IF EXISTS trial_user_attributes", "no such table"),
    ],
)
def test_a_broken_file_is_not_waited_for(patient, caplog, break_it, message):
    """A full disk, a read-only file and a missing table end a call at once."""
    event.listen(patient.engine, "checkout", lambda connection, *_: connection.execute(break_it))
    with pytest.raises(StorageInternalError) as error:
        patient.set_trial_user_attr(2, "large", "x" * 100_000)
    assert message in reason_of(error.value)
    assert caplog.messages == []


def test_a_dropped_database_is_not_waited_for(postgres, caplog):
    """A PostgreSQL server that answers that there is no such database ends a call at once."""
    with postgres.database() as url:
        storage, _ = patient_storage(url)
    with pytest.raises(StorageInternalError) as error:
        storage.get_all_studies()
    assert reason_of(error.value).endswith("does not exist")
    assert caplog.messages == []
