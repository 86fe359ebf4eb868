"""Attempts: how worker processes claim the slots of a study's budget and hold the trials that fill them.

A worker claims a slot in the study's own database before it asks the sampler for a trial, so that workers on many
machines together never train more trials than the budget allows. The claim is a row of the table `blade_tune_attempts`:
it is at first a slot alone, then the lease of the trial that fills the slot (`Attempts.link`), renewed by heartbeats.
An attempt counts against the budget until it is released or its trial has ended, so a killed process holds its slot
until `recovery` has queued the trial again. All times come from one clock, the database's, because those of the
machines may differ.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from optuna.trial import TrialState
from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    case,
    func,
    insert,
    inspect,
    literal,
    or_,
    select,
    update,
)

from blade_tune.storage.optuna_storage import (
    REPORTS,
    TRIAL_ATTRIBUTES,
    TRIALS,
    StudyStorage,
    lock_study,
    start_row,
)
from blade_tune.storage.process import Owner
from blade_tune.storage.trial_record import TrialRecord

ATTEMPTS = Table(
    "blade_tune_attempts",
    MetaData(),
    Column("attempt_id", String(32), primary_key=True),
    Column("study_id", Integer, nullable=False, index=True),
    Column("trial_number", Integer),  # null from the claim until the sampler has proposed a trial
    Column("owner", String(255), nullable=False),  # `str` of an `Owner`
    Column("device", String(64), nullable=False),  # as torch names it: "cuda:0", "cpu"
    Column("share", Float, nullable=False),  # of the device: 0.5 where two workers train on it
    Column("claimed", Float, nullable=False),  # seconds since 1970 by the database's clock
    Column("renewed", Float, nullable=False),  # the latest heartbeat, by the database's clock
    Column("released", Boolean, nullable=False),
)
# Seconds by which two clocks must differ before one counts as having been set; a smaller difference may come from
# waiting for a statement.
STEP_S = 5.0
# Seconds after its last trial for which a process still counts as one that works: it is about to begin another.
BETWEEN_S = 10.0
UNFINISHED = (TrialState.RUNNING, TrialState.WAITING)


@dataclass(frozen=True)
class Attempt:
    """One process that works on one trial, or has a slot and is about to ask for a trial."""

    attempt_id: str
    trial_number: int | None  # None before the process has a trial
    owner: Owner
    device: str
    claimed: float  # seconds since 1970 by the database's clock
    renewed: float  # seconds since 1970 by the database's clock


@dataclass(frozen=True)
class Claimant:
    """A process that asks for a slot, with the device that it trains on."""

    owner: Owner
    device: str
    share: float  # of the device that the process has, in (0, 1]


class Attempts:
    """The attempts of one study: claiming, renewing and releasing slots, and counting what they cost.

    Args:
        storage: the study's database. Optuna's tables must exist; `create_table` adds that of the attempts.
        study_id: the primary key of the study's row.
    """

    def __init__(self, storage: StudyStorage, study_id: int) -> None:
        self._storage = storage
        self._study_id = study_id
        # When this process claimed each of its attempts, by the monotonic clock, which nobody can set.
        self._begun: dict[str, float] = {}

    @staticmethod
    def create_table(storage: StudyStorage) -> None:
        """Create the table of attempts in a database that has none."""
        ATTEMPTS.metadata.create_all(storage.engine)

    def clear(self) -> None:
        """Delete every attempt of a study that was just created.

        The id may have been that of a deleted study, whose attempts the new one must not inherit.
        """
        with self._storage.engine.begin() as connection:
            connection.execute(ATTEMPTS.delete().where(ATTEMPTS.c.study_id == self._study_id))

    def now(self) -> float:
        """Return the seconds since 1970 by the clock that all processes of the study share."""
        with self._storage.engine.begin() as connection:
            return float(connection.execute(select(database_time(connection))).scalar_one())

    def claim(self, total: int, claimant: Claimant) -> str | None:
        """Claim one slot of the study's budget.

        Args:
            total: the budget: how many scored trials the study shall have in all.
            claimant: the process that asks.

        Returns:
            The id of the new attempt, or None where scored trials and running attempts together reach `total`.
        """
        # The id is chosen before the first try, so that a repeated one finds its own row.
        attempt_id = uuid.uuid4().hex

        def claim() -> str | None:
            own_row = select(ATTEMPTS.c.attempt_id).where(ATTEMPTS.c.attempt_id == attempt_id)
            with self._storage.engine.begin() as connection:
                if connection.scalar(own_row):
                    return attempt_id  # committed before the connection was lost
                # Without the lock two processes could both count before either inserts, and exceed the budget.
                connection.execute(lock_study(self._study_id))
                counts = connection.execute(select(self._scored(), self._running()))
                scored, running = counts.one()
                if scored + running >= total:
                    return None
                self._insert(connection, attempt_id, claimant)
            return attempt_id

        return self._begin(claim)

    def take(self, trial_number: int, claimant: Claimant) -> str | None:
        """Start the waiting row of a promoted trial, which needs no slot of the budget, for its trial is charged.

        The row runs and belongs to the new attempt in one transaction, so that it never runs without an attempt, and no
        attempt refers to a row that another process has started.

        Args:
            trial_number: the number of the row.
            claimant: the process that asks.

        Returns:
            The id of the new attempt, or None where the row does not wait any more.
        """
        attempt_id = uuid.uuid4().hex

        def take() -> str | None:
            own_row = select(ATTEMPTS.c.attempt_id).where(ATTEMPTS.c.attempt_id == attempt_id)
            with self._storage.engine.begin() as connection:
                if connection.scalar(own_row):
                    return attempt_id  # committed before the connection was lost
                started = connection.execute(start_row(self._study_id, trial_number))
                if started.rowcount != 1:
                    return None
                self._insert(connection, attempt_id, claimant, trial_number)
            return attempt_id

        return self._begin(take)

    def _begin(self, claim: Callable[[], str | None]) -> str | None:
        """Make a claim, and remember when by the monotonic clock."""
        claimed = self._storage.patiently(claim)
        if claimed:
            self._begun[claimed] = time.monotonic()
        return claimed

    def _insert(
        self,
        connection: Connection,
        attempt_id: str,
        claimant: Claimant,
        trial_number: int | None = None,
    ) -> None:
        """Insert the row of an attempt that begins now."""
        now = database_time(connection)
        row = {
            "attempt_id": attempt_id,
            "study_id": self._study_id,
            "trial_number": trial_number,
            "owner": str(claimant.owner),
            "device": claimant.device,
            "share": claimant.share,
            "claimed": now,
            "renewed": now,
            "released": False,
        }
        connection.execute(insert(ATTEMPTS).values(**row))

    def link(self, attempt_id: str, trial_number: int) -> bool:
        """Record which trial fills an attempt's slot; return False where the attempt was already released."""
        return self._change(attempt_id, trial_number=trial_number)

    def renew(self, attempt_id: str) -> bool:
        """Record a heartbeat of an attempt; return False where the attempt was already released.

        Unlike other calls, a renewal does not wait for a database that is away: the next heartbeat tries again.
        """
        with self._storage.engine.begin() as connection:
            times = self._times(connection, attempt_id) or {"renewed": database_time(connection)}
            return _is_changed(connection, attempt_id, **times)

    def release(self, attempt_id: str) -> None:
        """End an attempt, so that it holds neither a slot nor a trial.

        An attempt of this process is renewed for the last time. One of another process keeps its latest renewal, which
        is when that process was last known to run.
        """
        self._change(attempt_id, released=True)
        self._begun.pop(attempt_id, None)

    def open_attempts(self) -> list[Attempt]:
        """Return the attempts that were not released, the earliest claim first.

        The list is empty in a database that has no table of attempts, which an earlier version made.
        """
        if not self._has_table():
            return []
        columns = ATTEMPTS.c
        is_open = (columns.study_id == self._study_id) & ~columns.released
        query = select(ATTEMPTS).where(is_open).order_by(columns.claimed)
        with self._storage.engine.begin() as connection:
            rows = connection.execute(query).all()
        return [
            Attempt(
                attempt_id=row.attempt_id,
                trial_number=row.trial_number,
                owner=Owner.parse(row.owner),
                device=row.device,
                claimed=row.claimed,
                renewed=row.renewed,
            )
            for row in rows
        ]

    def num_workers(self, silent_s: float) -> int:
        """Return how many processes work on the study now, those between two trials included.

        Args:
            silent_s: seconds without a heartbeat after which a process of another machine counts as gone.
        """
        if not self._has_table():
            return 0
        columns = ATTEMPTS.c
        with self._storage.engine.begin() as connection:
            age = database_time(connection) - columns.renewed
            is_recent = or_(
                columns.released & (age < BETWEEN_S), ~columns.released & (age < silent_s)
            )
            query = select(columns.owner).where(columns.study_id == self._study_id, is_recent)
            owners = set(connection.scalars(query))
        return sum(not Owner.parse(owner).is_gone() for owner in owners)

    def gpu_seconds(self) -> float:
        """Return the GPU time of the study so far, in seconds; a GPU that k workers share counts once.

        An attempt lasts from its claim to its latest renewal, so a killed one costs what it is known to have run.
        """
        if not self._has_table():
            return 0.0
        columns = ATTEMPTS.c
        seconds = func.sum((columns.renewed - columns.claimed) * columns.share)
        on_gpu = (columns.study_id == self._study_id) & columns.device.startswith("cuda")
        with self._storage.engine.begin() as connection:
            total = connection.scalar(select(seconds).where(on_gpu))
        return float(total or 0.0)  # null where there are no such attempts

    def _has_table(self) -> bool:
        """Whether the database has the table; one that only earlier versions used does not."""
        return inspect(self._storage.engine).has_table(ATTEMPTS.name)

    def _change(self, attempt_id: str, **values: Any) -> bool:
        def change() -> bool:
            with self._storage.engine.begin() as connection:
                times = self._times(connection, attempt_id)
                return _is_changed(connection, attempt_id, **values, **times)

        return self._storage.patiently(change)

    def _times(self, connection: Connection, attempt_id: str) -> dict[str, Any]:
        """Return the time columns to write for a renewal; none for an attempt of another process.

        Where the database's clock was set since the claim, the claim moves with it, so that claim and renewal stay as
        far apart as this process's monotonic clock says, and `gpu_seconds` stays right.
        """
        if attempt_id not in self._begun:
            return {}
        now = database_time(connection)
        seconds = time.monotonic() - self._begun[attempt_id]
        clock_was_set = func.abs(now - ATTEMPTS.c.claimed - seconds) > STEP_S
        claimed = case((clock_was_set, now - seconds), else_=ATTEMPTS.c.claimed)
        return {"renewed": now, "claimed": claimed}

    def _scored(self) -> ColumnElement[int]:
        """Return a query that counts scored trials by the rule of `trials.num_scored`: one that paused counts once."""
        mine = TRIALS.c.study_id == self._study_id
        return select(func.count()).where(mine, is_charged()).scalar_subquery()

    def _running(self) -> ColumnElement[int]:
        """Return a query that counts the open attempts that may still become scored trials.

        These are attempts without a trial yet and those whose trial is waiting or running. An attempt whose trial has
        ended but which was not released yet must not count twice: its trial is counted as scored, if it is. Nor must
        one whose trial was promoted, which has been counted since it paused.
        """
        # Each open attempt with its trial, if it has one
        same_study = TRIALS.c.study_id == ATTEMPTS.c.study_id
        same_number = TRIALS.c.number == ATTEMPTS.c.trial_number
        attempts = ATTEMPTS.outerjoin(TRIALS, same_study & same_number)
        mine = (ATTEMPTS.c.study_id == self._study_id) & ~ATTEMPTS.c.released
        # Those without a trial, and those whose trial has not ended
        has_no_trial = ATTEMPTS.c.trial_number.is_(None)
        is_unfinished = TRIALS.c.state.in_(UNFINISHED)
        alive = case((has_no_trial, True), else_=is_unfinished & ~_is_promoted())
        return select(func.count()).select_from(attempts).where(mine, alive).scalar_subquery()


def is_charged() -> ColumnElement[bool]:
    """Return a condition on a row of trials by the rule of `trials.num_scored`: it is charged to its study's budget."""
    reports = select(REPORTS.c.trial_id).where(REPORTS.c.trial_id == TRIALS.c.trial_id)
    is_complete = TRIALS.c.state == TrialState.COMPLETE
    is_pruned_with_report = (TRIALS.c.state == TrialState.PRUNED) & reports.correlate(
        TRIALS
    ).exists()
    return or_(is_complete, is_pruned_with_report) & ~_is_promoted()


def _is_promoted() -> ColumnElement[bool]:
    """Return a condition on a row of trials by the rule of `trials.is_promoted`."""
    attributes = TRIAL_ATTRIBUTES.c
    is_own = attributes.trial_id == TRIALS.c.trial_id
    is_promoted = attributes.key == TrialRecord.promoted.name
    return select(attributes.trial_id).where(is_own, is_promoted).correlate(TRIALS).exists()


def _is_changed(connection: Connection, attempt_id: str, **values: Any) -> bool:
    """Update an open attempt; return False where there is none of this id."""
    mine = (ATTEMPTS.c.attempt_id == attempt_id) & ~ATTEMPTS.c.released
    result = connection.execute(update(ATTEMPTS).where(mine).values(**values))
    return result.rowcount == 1


def database_time(connection: Connection) -> ColumnElement[Any]:
    """Return an expression for the seconds since 1970 by the clock that all processes of the study share."""
    # A SQLite file is local, so all of its processes are on one machine.
    if connection.dialect.name == "sqlite":
        return literal(time.time())
    # Unlike now(), clock_timestamp() moves on within a transaction, which may have waited for the study's lock.
    return func.extract("epoch", func.clock_timestamp())
