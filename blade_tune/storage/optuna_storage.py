"""Optuna's database storage, made safe for many processes and patient with outages of the database.

`StudyStorage` extends Optuna's `RDBStorage`. Safe: state changes that Optuna makes by a read and a later write are one
transaction here. Patient: a call that fails because the database is away is repeated until it succeeds or a time has
passed. `is_outage` decides which errors are worth repeating, by SQLite's error codes and PostgreSQL's SQLSTATEs.

This is the only module that uses private parts of Optuna; tests/storage/test_optuna_storage.py fails when one of them
changes.
"""

import functools
import json
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from alembic.script import ScriptDirectory
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session, _VersionManager
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL, Table, Update, select, update
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_delay,
    wait_random_exponential,
)

from blade_tune.redact import redacted_url
from blade_tune.storage.trial_record import TrialRecord

log = logging.getLogger(__name__)

T = TypeVar("T")

# Optuna's tables, for statements that its own interface has no call for.
STUDIES: Table = models.StudyModel.__table__
STUDY_USER_ATTRIBUTES: Table = models.StudyUserAttributeModel.__table__
STUDY_ATTRIBUTES: Table = models.StudySystemAttributeModel.__table__
TRIALS: Table = models.TrialModel.__table__
TRIAL_VALUES: Table = models.TrialValueModel.__table__
TRIAL_ATTRIBUTES: Table = models.TrialUserAttributeModel.__table__
REPORTS: Table = models.TrialIntermediateValueModel.__table__

MAX_WAIT_S = 5.0  # between two tries
BUSY_CODES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
# SQLSTATEs, or how they begin: lost connections, deadlocks, shutdown and start of the server, too many clients.
OUTAGE_STATES = ("08", "40", "57P", "53300")
# Errors while connecting have no SQLSTATE, so they are told apart by words of their messages. A server that answers
# with one of these refuses the user or the database: waiting does not help.
REFUSALS = ("authentication failed", "no password supplied", "does not exist", "pg_hba.conf")
# Messages that say that the URL itself is wrong, if they come before the database was ever reached.
WRONG_URLS = (
    # The host
    "Name or service not known",
    "nodename nor servname",
    "No address associated",
    "Servname not supported",
    # The port and the options
    "invalid port",
    "invalid integer",
    "invalid sslmode",
    "invalid value",
    "could not match",
    # What answers there
    "does not support SSL",
    "received invalid response",
    "expected authentication request",
    "certificate",
)


class StudyStorage(RDBStorage):
    """A database of studies in SQLite or PostgreSQL, whose calls wait out outages.

    To open one, use `connect.open_storage`, which also checks the version of its tables.

    A call that an outage interrupts is repeated until it succeeds or `outage_s` has passed. The interrupted try may
    have been committed without an answer, so each call that is repeated must be harmless when made twice:

    - Reports and attributes are overwritten with what they were.
    - A parameter is not stored twice.
    - A trial that was created or popped once too often is left running without a worker, and `recovery` finds it.
    - To finish a trial twice raises an UpdateFinishedTrialError, and the caller reads the row to see what happened.

    Creating or deleting a study is not harmless when made twice, so those calls are not repeated.

    Args:
        url: the URL of the database, password included, with braces doubled because Optuna calls `str.format` on it.
        engine_options: options for SQLAlchemy's `create_engine`.
        create: whether to create missing tables.
        outage_s: how many seconds a call waits for a database that is away; 0 for not at all.
    """

    def __init__(
        self,
        url: str,
        engine_options: dict[str, Any] | None = None,
        *,
        create: bool = True,
        outage_s: float = 0.0,
    ) -> None:
        self.outage_s = outage_s
        super().__init__(
            url, engine_options, skip_compatibility_check=True, skip_table_creation=not create
        )

    def patiently(self, call: Callable[[], T]) -> T:
        """Make a call on this database, and repeat it while the database is away, for `outage_s` seconds at most.

        Args:
            call: one transaction that is harmless when made twice. It must not make a patient call itself, or the
                waiting times would multiply.
        """
        return patiently(call, self.outage_s, self.engine.url)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Set the state and the values of a trial, as Optuna's method does, but in one step on SQLite too.

        Optuna reads the state before it writes, and on SQLite another process may write in between. The update that
        changes nothing takes SQLite's write lock before the read.

        Args:
            trial_id: the primary key of the trial's row.
            state: the new state.
            values: the objective's value, for a completed trial.

        Returns:
            False where the trial was to start running but another process had started it.
        """
        change_state = super().set_trial_state_values
        own_row = TRIALS.c.trial_id == trial_id
        change_nothing = update(TRIALS).where(own_row).values(state=TRIALS.c.state)

        def change() -> bool:
            with _create_scoped_session(self.scoped_session) as session:
                session.execute(change_nothing)
                # Optuna's method works in the same session, and commits it.
                return change_state(trial_id, state, values)

        return self.patiently(change)

    def give_away(
        self,
        study_id: int,
        trial_number: int,
        attrs: Mapping[str, Any],
        continuation: FrozenTrial | None,
    ) -> bool:
        """Fail a running trial and queue the row that continues it, in one transaction.

        Args:
            study_id: the primary key of the study's row.
            trial_number: the number of the trial in its study.
            attrs: user attributes to set on the failed trial.
            continuation: the row to add; None to add none.

        Returns:
            Whether the trial was still running; otherwise nothing is changed.
        """

        def give() -> bool:
            with _create_scoped_session(self.scoped_session) as session:
                session.execute(lock_study(study_id))
                # The row, if its trial still runs
                rows = session.query(models.TrialModel)
                row = rows.filter_by(study_id=study_id, number=trial_number)
                trial: Any = row.with_for_update().one()
                if trial.state != TrialState.RUNNING:
                    return False
                # Its end
                for key, value in attrs.items():
                    self._set_trial_attr_without_commit(
                        session, models.TrialUserAttributeModel, trial.trial_id, key, value
                    )
                # The pruners asha and hyperband compare trials by these attributes, of failed ones too; the row that
                # continues the trial gets its own.
                trial.system_attributes = [
                    attribute
                    for attribute in trial.system_attributes
                    if not attribute.key.startswith("completed_rung_")
                ]
                trial.state = TrialState.FAIL
                trial.datetime_complete = datetime.now()
                # The row that continues it
                if continuation is not None:
                    self._get_prepared_new_trial(study_id, continuation, session)
            return True

        return self.patiently(give)

    def promote(self, study_id: int, trial_number: int, continuation: FrozenTrial) -> bool:
        """Queue the row that goes on with a paused trial, in one transaction, unless there is one already.

        Args:
            study_id: the primary key of the study's row.
            trial_number: the number of the paused row.
            continuation: the row to add, whose attribute `promoted` is that number.

        Returns:
            Whether the row was added; otherwise another process has promoted the trial.
        """
        of_study = select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id)
        successor = select(TRIAL_ATTRIBUTES.c.trial_id).where(
            TRIAL_ATTRIBUTES.c.trial_id.in_(of_study),
            TRIAL_ATTRIBUTES.c.key == TrialRecord.promoted.name,
            TRIAL_ATTRIBUTES.c.value_json == json.dumps(trial_number),
        )

        def add() -> bool:
            with _create_scoped_session(self.scoped_session) as session:
                session.execute(lock_study(study_id))
                if session.execute(successor).first() is not None:
                    return False
                self._get_prepared_new_trial(study_id, continuation, session)
            return True

        return self.patiently(add)


def patiently(
    call: Callable[[], T],
    outage_s: float,
    url: URL,
    is_waited_for: Callable[[BaseException], bool] | None = None,
) -> T:
    """Make a call on a database, and repeat it while the database is away, with a warning in the log each time.

    Args:
        call: a call that is harmless when made twice.
        outage_s: how many seconds to go on repeating it; then the latest error is raised.
        url: the database, for the warnings, which do not show its password.
        is_waited_for: whether to repeat the call after an error; `is_outage` by default.

    Returns:
        What the call returns.
    """

    def warn(attempt: RetryCallState) -> None:
        error = attempt.outcome.exception() if attempt.outcome else None
        storage = redacted_url(url.render_as_string(hide_password=False))
        wait_s, reason = attempt.upcoming_sleep, reason_of(error)
        log.warning("storage=%s is away, next try in %.1f s: %s", storage, wait_s, reason)

    retrying = Retrying(
        retry=retry_if_exception(is_waited_for or is_outage),
        stop=stop_after_delay(outage_s),
        wait=wait_random_exponential(multiplier=0.1, max=MAX_WAIT_S),
        before_sleep=warn,
        reraise=True,
    )
    return retrying(call)


_read_migrations = _VersionManager._create_alembic_script
_migrations: list[ScriptDirectory] = []  # read by this process


def _migrations_of(versions: _VersionManager) -> ScriptDirectory:
    """Return Optuna's migrations, which are files of its package and the same for all databases.

    Optuna reads them once to open a database and three times to create one, which takes longer than all else there.
    """
    if not _migrations:
        script = _read_migrations(versions)
        script.get_current_head()  # now, since threads may share it afterwards
        _migrations.append(script)
    return _migrations[0]


_VersionManager._create_alembic_script = _migrations_of  # type: ignore[assignment]


def _patient(name: str) -> Any:
    """Return a method of Optuna's storage wrapped so that it waits out outages."""
    method = getattr(RDBStorage, name)

    @functools.wraps(method)
    def patient(self: StudyStorage, *args: Any, **kwargs: Any) -> Any:
        return self.patiently(functools.partial(method, self, *args, **kwargs))

    return patient


# Each of these methods is one transaction; Optuna's other methods call them.
for _name in (
    "get_all_studies",
    "get_study_directions",
    "get_study_id_from_name",
    "get_study_name_from_id",
    "get_study_system_attrs",
    "get_study_user_attrs",
    "get_trial",
    "get_trial_id_from_study_id_trial_number",
    "get_trial_param",
    "get_trial_system_attrs",
    "get_trial_user_attrs",
    "set_study_system_attr",
    "set_study_user_attr",
    "set_trial_intermediate_value",
    "set_trial_system_attr",
    "set_trial_user_attr",
    "_create_new_trial",
    "_get_best_trial_id",
    "_get_trials",
    "_set_trial_param",
):
    setattr(StudyStorage, _name, _patient(_name))


def lock_study(study_id: int) -> Update:
    """Return an update that changes nothing, with which a transaction locks a study.

    Until the transaction ends, no other can lock the study's row; on SQLite, no other can write to the database.
    """
    own_row = STUDIES.c.study_id == study_id
    return update(STUDIES).where(own_row).values(study_name=STUDIES.c.study_name)


def start_row(study_id: int, trial_number: int) -> Update:
    """Return an update that starts a waiting row of a study, and changes nothing where it does not wait any more."""
    row = (TRIALS.c.study_id == study_id) & (TRIALS.c.number == trial_number)
    is_waiting = TRIALS.c.state == TrialState.WAITING
    # Optuna stores times in UTC without a time zone.
    now = datetime.now(UTC).replace(tzinfo=None)
    return (
        update(TRIALS).where(row, is_waiting).values(state=TrialState.RUNNING, datetime_start=now)
    )


def is_outage(error: BaseException) -> bool:
    """Whether an error means that the database is away or busy for now, so that waiting may help.

    A database that refuses a user, is full, or lacks what is asked for is not away.
    """
    failure = _failure(error)
    if not isinstance(failure, OperationalError | InterfaceError):
        return False
    cause: Any = failure.orig
    if isinstance(cause, sqlite3.Error):
        # The lower byte of SQLite's extended error code is the primary one.
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in BUSY_CODES
    if cause.sqlstate is not None:
        return cause.sqlstate.startswith(OUTAGE_STATES)
    return not any(words in str(cause) for words in REFUSALS)


def is_outage_at_start(error: BaseException) -> bool:
    """Whether an error means an outage of a database that was not reached yet, so that waiting may help.

    Stricter than `is_outage`: an unknown host, for one, is an outage of a database that was reached before, but at the
    start it means that the URL is wrong.
    """
    return is_outage(error) and not any(words in reason_of(error) for words in WRONG_URLS)


def lacks_table(error: BaseException) -> bool:
    """Whether an error means that a table is missing from the database."""
    cause: Any = getattr(_failure(error), "orig", None)
    return getattr(cause, "sqlstate", None) == "42P01" or str(cause).startswith("no such table")


def reason_of(error: BaseException | None) -> str:
    """Return the first line of the database driver's message, or of the error's own where no driver raised it."""
    failure = _failure(error)
    message = str(failure.orig if failure else error)
    return message.strip().splitlines()[0]


def _failure(error: BaseException | None) -> DBAPIError | None:
    """Return SQLAlchemy's wrapping of the driver's error from the causes of an error; None where there is none."""
    while error is not None and not isinstance(error, DBAPIError):
        error = error.__cause__ or error.__context__
    return error
