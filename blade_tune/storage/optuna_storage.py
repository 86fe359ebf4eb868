"""Optuna's database storage made safe for many processes and patient with outages.

The only module that uses private parts of Optuna; tests/study/test_safe_storage.py fails when one of them changes.
"""

import functools
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL, Table, Update, update
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from blade_tune.redact import redacted_url

log = logging.getLogger(__name__)

T = TypeVar("T")

STUDIES: Table = models.StudyModel.__table__
STUDY_ATTRIBUTES: Table = models.StudySystemAttributeModel.__table__
TRIALS: Table = models.TrialModel.__table__
REPORTS: Table = models.TrialIntermediateValueModel.__table__

MAX_WAIT_S = 5.0
BUSY_CODES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
OUTAGE_STATES = ("08", "40", "57P", "53300")  # connection, deadlock, shutdown and start of the server, too many clients
REFUSALS = ("authentication failed", "no password supplied", "does not exist", "pg_hba.conf")  # these have no SQLSTATE
WRONG_URLS = (  # nor have these
    *("Name or service not known", "nodename nor servname", "No address associated", "Servname not supported"),
    *("invalid port", "invalid integer", "invalid sslmode", "invalid value", "could not match"),
    *("does not support SSL", "received invalid response", "expected authentication request", "certificate"),
)


class StudyStorage(RDBStorage):
    """A database of studies in SQLite or PostgreSQL; `storage.open_storage` checks its version.

    A call that an outage broke is made again until it succeeds or `outage_s` has passed. Its first try may have been
    committed without the answer coming back, which harms nothing: reports and attributes are stored as they are; a
    parameter is not stored twice; a trial that was created or popped once too often is running with no worker, and
    `recovery` finds it; to finish a trial twice is an UpdateFinishedTrialError, whose receiver looks at the row.
    Studies are created and deleted without patience, for that cannot be said of them.

    Args:
        url: the database, passwords included; braces doubled.
        engine_options: for SQLAlchemy's `create_engine`.
        create: make the tables that are not there.
        outage_s: for how long a call waits for a database that is away; 0 for not at all.
    """

    def __init__(
        self, url: str, engine_options: dict[str, Any] | None = None, *, create: bool = True, outage_s: float = 0.0
    ) -> None:
        self.outage_s = outage_s
        super().__init__(url, engine_options, skip_compatibility_check=True, skip_table_creation=not create)

    def patiently(self, call: Callable[[], T]) -> T:
        """Make a call on the database again and again while it is away.

        Args:
            call: one transaction, harmless when repeated; makes no patient call itself.
        """
        return patiently(call, self.outage_s, self.engine.url)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """As in Optuna, which reads the state before it writes; here both are one step on SQLite too."""
        change_state = super().set_trial_state_values

        def change() -> bool:
            with _create_scoped_session(self.scoped_session) as session:
                session.execute(update(TRIALS).where(TRIALS.c.trial_id == trial_id).values(state=TRIALS.c.state))
                return change_state(trial_id, state, values)  # in the same session, which it commits

        return self.patiently(change)

    def give_away(
        self, study_id: int, trial_number: int, attrs: Mapping[str, Any], continuation: FrozenTrial | None
    ) -> bool:
        """Fail a running trial and queue the row that goes on from it, both or neither.

        Args:
            study_id: its study.
            trial_number: the trial.
            attrs: user attributes that it ends with.
            continuation: the row to add, if any.

        Returns:
            False where the trial was not running any more; then nothing is changed.
        """

        def give() -> bool:
            with _create_scoped_session(self.scoped_session) as session:
                session.execute(lock_study(study_id))
                wanted = session.query(models.TrialModel).filter_by(study_id=study_id, number=trial_number)
                trial: Any = wanted.with_for_update().one()
                if trial.state != TrialState.RUNNING:
                    return False
                for key, value in attrs.items():
                    self._set_trial_attr_without_commit(
                        session, models.TrialUserAttributeModel, trial.trial_id, key, value
                    )
                trial.system_attributes = [
                    a for a in trial.system_attributes if not a.key.startswith("completed_rung_")
                ]
                trial.state = TrialState.FAIL
                trial.datetime_complete = datetime.now()
                if continuation is not None:
                    self._get_prepared_new_trial(study_id, continuation, session)
            return True

        return self.patiently(give)


def patiently(
    call: Callable[[], T], outage_s: float, url: URL, is_waited_for: Callable[[BaseException], bool] | None = None
) -> T:
    """Make a call on a database again and again while it is away, with a warning each time, for `outage_s` at most.

    Args:
        call: may be made again.
        outage_s: for how long.
        url: of the database.
        is_waited_for: which errors are waited for; those of `is_outage` unless said otherwise.
    """

    def warn(attempt: RetryCallState) -> None:
        error = attempt.outcome.exception() if attempt.outcome else None
        place = redacted_url(url.render_as_string(hide_password=False))
        log.warning("storage=%s is away, next try in %.1f s: %s", place, attempt.upcoming_sleep, reason_of(error))

    retrying = Retrying(
        retry=retry_if_exception(is_waited_for or is_outage),
        stop=stop_after_delay(outage_s),
        wait=wait_random_exponential(multiplier=0.1, max=MAX_WAIT_S),
        before_sleep=warn,
        reraise=True,
    )
    return retrying(call)


def _patient(name: str) -> Any:
    method = getattr(RDBStorage, name)

    @functools.wraps(method)
    def patient(self: StudyStorage, *args: Any, **kwargs: Any) -> Any:
        return self.patiently(functools.partial(method, self, *args, **kwargs))

    return patient


# Each is one transaction; Optuna's other methods call these.
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
    """A write that changes nothing.

    Whoever makes it first is alone with the study's row, on SQLite with the whole database, until the commit.
    """
    return update(STUDIES).where(STUDIES.c.study_id == study_id).values(study_name=STUDIES.c.study_name)


def is_outage(error: BaseException) -> bool:
    """Whether the database is away or busy for now; not when it refuses, is full, or lacks what is asked for."""
    failure = _failure(error)
    if not isinstance(failure, OperationalError | InterfaceError):
        return False
    cause: Any = failure.orig
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in BUSY_CODES
    if cause.sqlstate is not None:
        return cause.sqlstate.startswith(OUTAGE_STATES)
    return not any(words in str(cause) for words in REFUSALS)


def is_outage_at_start(error: BaseException) -> bool:
    """The same of a database that was never reached: what says that the URL itself is wrong is no outage."""
    return is_outage(error) and not any(words in reason_of(error) for words in WRONG_URLS)


def lacks_table(error: BaseException) -> bool:
    """Whether the database has no table of the name that was asked for."""
    cause: Any = getattr(_failure(error), "orig", None)
    return getattr(cause, "sqlstate", None) == "42P01" or str(cause).startswith("no such table")


def reason_of(error: BaseException | None) -> str:
    """What the database said, in one line; else what the error says."""
    failure = _failure(error)
    return str(failure.orig if failure else error).strip().splitlines()[0]


def _failure(error: BaseException | None) -> DBAPIError | None:
    """The driver's error, in SQLAlchemy's wrapping, behind Optuna's and others."""
    while error is not None and not isinstance(error, DBAPIError):
        error = error.__cause__ or error.__context__
    return error
