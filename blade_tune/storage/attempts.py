"""The budget of a study, claimed slot by slot in its own database before a trial is asked for.

An attempt is a process's claim of one slot, and its lease of the trial that fills it. An attempt counts until it is
released or its trial has ended, so that a killed process holds its slot until `recovery` has given the trial away.
"""

import time
import uuid
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

from blade_tune.storage.optuna_storage import REPORTS, TRIALS, StudyStorage, lock_study
from blade_tune.storage.process import Owner

ATTEMPTS = Table(
    "blade_tune_attempts",
    MetaData(),
    Column("attempt_id", String(32), primary_key=True),
    Column("study_id", Integer, nullable=False, index=True),
    Column("trial_number", Integer),  # null from the claim until a trial was asked for
    Column("owner", String(255), nullable=False),
    Column("device", String(64), nullable=False),
    Column("share", Float, nullable=False),  # of the device: 0.5 where two workers train on it
    Column("claimed", Float, nullable=False),  # seconds since 1970 by the database's clock
    Column("renewed", Float, nullable=False),
    Column("released", Boolean, nullable=False),
)
STEP_S = 5.0  # by which a clock was set; less is what a statement waits for
UNFINISHED = (TrialState.RUNNING, TrialState.WAITING)


@dataclass(frozen=True)
class Attempt:
    """One process at work on one trial, or about to ask for one."""

    attempt_id: str
    trial_number: int | None
    owner: Owner
    device: str
    claimed: float
    renewed: float


@dataclass(frozen=True)
class Claimant:
    """Who asks for a slot, and what it trains on."""

    owner: Owner
    device: str
    share: float


class Attempts:
    """The claims on one study.

    Args:
        storage: the study's database; its tables are there.
        study_id: the study's row.
    """

    def __init__(self, storage: StudyStorage, study_id: int) -> None:
        self._storage = storage
        self._study_id = study_id
        self._begun: dict[str, float] = {}  # own attempts, by the monotonic clock

    @staticmethod
    def create_table(storage: StudyStorage) -> None:
        """Make the table where there is none."""
        ATTEMPTS.metadata.create_all(storage.engine)

    def clear(self) -> None:
        """Forget every attempt: the study is new, and its number may have been another's."""
        with self._storage.engine.begin() as connection:
            connection.execute(ATTEMPTS.delete().where(ATTEMPTS.c.study_id == self._study_id))

    def now(self) -> float:
        """Seconds since 1970 by the clock that all processes of the study share."""
        with self._storage.engine.begin() as connection:
            return float(connection.execute(select(_now(connection))).scalar_one())

    def claim(self, total: int, claimant: Claimant) -> str | None:
        """Take a slot and give the attempt's id, or None where `total` trials are scored or may yet be."""
        attempt_id = uuid.uuid4().hex

        def claim() -> str | None:
            with self._storage.engine.begin() as connection:
                if connection.scalar(select(ATTEMPTS.c.attempt_id).where(ATTEMPTS.c.attempt_id == attempt_id)):
                    return attempt_id  # committed before the connection was lost
                connection.execute(lock_study(self._study_id))
                scored, running = connection.execute(select(self._scored(), self._running())).one()
                if scored + running >= total:
                    return None
                now = _now(connection)
                row = {"attempt_id": attempt_id, "study_id": self._study_id, "claimed": now, "renewed": now}
                where = {"owner": str(claimant.owner), "device": claimant.device, "share": claimant.share}
                connection.execute(insert(ATTEMPTS).values(**row, **where, released=False))
            return attempt_id

        claimed = self._storage.patiently(claim)
        if claimed:
            self._begun[claimed] = time.monotonic()
        return claimed

    def link(self, attempt_id: str, trial_number: int) -> bool:
        """Say which trial fills the slot; False where the claim was taken away meanwhile."""
        return self._change(attempt_id, trial_number=trial_number)

    def renew(self, attempt_id: str) -> bool:
        """Say that the attempt is alive; False where it was taken away. Does not wait for a database that is away."""
        with self._storage.engine.begin() as connection:
            times = self._times(connection, attempt_id) or {"renewed": _now(connection)}
            return _is_changed(connection, attempt_id, **times)

    def release(self, attempt_id: str) -> None:
        """The attempt is over; one of another process has run until its latest renewal, as far as is known."""
        self._change(attempt_id, released=True)
        self._begun.pop(attempt_id, None)

    def open_attempts(self) -> list[Attempt]:
        """Every attempt that was not released; none where the study is older than the table."""
        if not self._has_table():
            return []
        a = ATTEMPTS.c
        query = select(a.attempt_id, a.trial_number, a.owner, a.device, a.claimed, a.renewed)
        with self._storage.engine.begin() as connection:
            rows = connection.execute(query.where(a.study_id == self._study_id, ~a.released).order_by(a.claimed)).all()
        return [Attempt(row.attempt_id, row.trial_number, Owner.parse(row.owner), *row[3:]) for row in rows]

    def gpu_seconds(self) -> float:
        """What the study has cost so far on GPUs; a GPU that k workers share counts once.

        An attempt lasts from its claim to its latest renewal, so a killed one costs what it is known to have run.
        """
        if not self._has_table():
            return 0.0
        seconds = func.sum((ATTEMPTS.c.renewed - ATTEMPTS.c.claimed) * ATTEMPTS.c.share)
        on_gpu = ATTEMPTS.c.device.startswith("cuda")
        with self._storage.engine.begin() as connection:
            return float(connection.scalar(select(seconds).where(ATTEMPTS.c.study_id == self._study_id, on_gpu)) or 0.0)

    def _has_table(self) -> bool:
        """Not in a database in which no run of this version was."""
        return inspect(self._storage.engine).has_table(ATTEMPTS.name)

    def _change(self, attempt_id: str, **values: Any) -> bool:
        def change() -> bool:
            with self._storage.engine.begin() as connection:
                return _is_changed(connection, attempt_id, **values, **self._times(connection, attempt_id))

        return self._storage.patiently(change)

    def _times(self, connection: Connection, attempt_id: str) -> dict[str, Any]:
        """When an attempt of this process was renewed, and, where the clock was set, its claim by the new one.

        So an attempt costs what a clock that nobody sets says.
        """
        if attempt_id not in self._begun:
            return {}
        now, seconds = _now(connection), time.monotonic() - self._begun[attempt_id]
        is_set = func.abs(now - ATTEMPTS.c.claimed - seconds) > STEP_S
        return {"renewed": now, "claimed": case((is_set, now - seconds), else_=ATTEMPTS.c.claimed)}

    def _scored(self) -> ColumnElement[int]:
        """As `trials.is_scored` has it."""
        reported = select(REPORTS.c.trial_id).where(REPORTS.c.trial_id == TRIALS.c.trial_id).exists()
        is_scored = or_(TRIALS.c.state == TrialState.COMPLETE, (TRIALS.c.state == TrialState.PRUNED) & reported)
        return select(func.count()).where(TRIALS.c.study_id == self._study_id, is_scored).scalar_subquery()

    def _running(self) -> ColumnElement[int]:
        """Attempts that may still become scored trials."""
        same = (TRIALS.c.study_id == ATTEMPTS.c.study_id) & (TRIALS.c.number == ATTEMPTS.c.trial_number)
        alive = case((ATTEMPTS.c.trial_number.is_(None), True), else_=TRIALS.c.state.in_(UNFINISHED))
        table = ATTEMPTS.outerjoin(TRIALS, same)
        mine = (ATTEMPTS.c.study_id == self._study_id) & ~ATTEMPTS.c.released
        return select(func.count()).select_from(table).where(mine, alive).scalar_subquery()


def _is_changed(connection: Connection, attempt_id: str, **values: Any) -> bool:
    mine = (ATTEMPTS.c.attempt_id == attempt_id) & ~ATTEMPTS.c.released
    return connection.execute(update(ATTEMPTS).where(mine).values(**values)).rowcount == 1


def _now(connection: Connection) -> ColumnElement[Any]:
    """Seconds since 1970 by the clock that all processes of the study share."""
    if connection.dialect.name == "sqlite":
        return literal(time.time())
    return func.extract("epoch", func.clock_timestamp())
