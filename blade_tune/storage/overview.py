"""Overview of all studies of a database: their figures by a few queries, however many trials they have."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optuna.trial import TrialState
from sqlalchemy import Connection, Row, Select, and_, case, func, inspect, select

from blade_tune.storage.attempts import ATTEMPTS, database_time, is_charged
from blade_tune.storage.optuna_storage import (
    STUDIES,
    STUDY_USER_ATTRIBUTES,
    TRIAL_ATTRIBUTES,
    TRIAL_VALUES,
    TRIALS,
    StudyStorage,
)
from blade_tune.storage.process import Owner
from blade_tune.storage.trial_record import TrialRecord


@dataclass(frozen=True)
class Activity:
    """A process that had a slot of a study, and when it was last heard of."""

    owner: Owner
    renewed: float  # seconds since 1970 by the database's clock


@dataclass(frozen=True)
class BestTrial:
    """The best completed trial of a study."""

    number: int
    value: float
    paired: Mapping[str, Any] | None  # its comparison with the reference baseline, if it was made


@dataclass(frozen=True)
class StudyFigures:
    """What an overview tells of one study."""

    name: str
    attributes: Mapping[str, Any]  # user attributes of the study, those that were asked for
    num_scored: int  # trials that are charged to the budget
    num_completed: int
    best: BestTrial | None
    # Attempts that were not released, whether their process lives or not
    active: Sequence[Activity]
    latest: Activity | None  # of all attempts
    # When a trial or an attempt was last changed, in seconds since 1970; None where nothing was ever tried
    last_change: float | None


def all_figures(
    storage: StudyStorage, attributes: Sequence[str]
) -> tuple[list[StudyFigures], float]:
    """Read the figures of all studies of a database.

    Args:
        storage: the database.
        attributes: the user attributes of studies to read.

    Returns:
        The studies in the order in which they were made, and the time of the database in seconds since 1970.
    """
    has_attempts = inspect(storage.engine).has_table(ATTEMPTS.name)
    with storage.engine.begin() as connection:
        now = float(connection.execute(select(database_time(connection))).scalar_one())
        studies = connection.execute(select(STUDIES).order_by(STUDIES.c.study_id)).all()
        stored = _attributes(connection, attributes)
        counts = {row.study_id: row for row in connection.execute(_counts())}
        best = {row.study_id: _best(row) for row in connection.execute(_best_trials())}
        # A database of an earlier version has no attempts
        active = _activities(connection, _open_attempts()) if has_attempts else {}
        latest = _activities(connection, _latest_attempts()) if has_attempts else {}
    found = []
    for study in studies:
        study_id, count = study.study_id, counts.get(study.study_id)
        last = latest.get(study_id, [])
        found.append(
            StudyFigures(
                name=study.study_name,
                attributes=stored.get(study_id, {}),
                num_scored=count.scored if count else 0,
                num_completed=count.completed if count else 0,
                best=best.get(study_id),
                active=active.get(study_id, []),
                latest=last[0] if last else None,
                last_change=_last_change(count, last),
            )
        )
    return found, now


def _attributes(connection: Connection, names: Sequence[str]) -> dict[int, dict[str, Any]]:
    columns = STUDY_USER_ATTRIBUTES.c
    query = select(columns.study_id, columns.key, columns.value_json).where(columns.key.in_(names))
    found: dict[int, dict[str, Any]] = {}
    for row in connection.execute(query):
        found.setdefault(row.study_id, {})[row.key] = json.loads(row.value_json)
    return found


def _counts() -> Select[Any]:
    """Return a query with a row a study that has trials: scored and completed ones, and when the latest changed."""
    columns = TRIALS.c
    return select(
        columns.study_id,
        func.sum(case((is_charged(), 1), else_=0)).label("scored"),
        func.sum(case((columns.state == TrialState.COMPLETE, 1), else_=0)).label("completed"),
        func.max(columns.datetime_start).label("started"),
        func.max(columns.datetime_complete).label("ended"),
    ).group_by(columns.study_id)


def _best_trials() -> Select[Any]:
    """Return a query with a row a study, its best completed trial; of equal ones the earlier, as `trials.ranked`."""
    better_first = [TRIAL_VALUES.c.value.desc(), TRIALS.c.number]
    place = func.row_number().over(partition_by=TRIALS.c.study_id, order_by=better_first)
    ranked = (
        select(
            TRIALS.c.study_id,
            TRIALS.c.trial_id,
            TRIALS.c.number,
            TRIAL_VALUES.c.value,
            place.label("place"),
        )
        .join(TRIAL_VALUES, TRIAL_VALUES.c.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.state == TrialState.COMPLETE)
        .subquery()
    )
    is_paired = and_(
        TRIAL_ATTRIBUTES.c.trial_id == ranked.c.trial_id,
        TRIAL_ATTRIBUTES.c.key == TrialRecord.paired.name,
    )
    return (
        select(ranked, TRIAL_ATTRIBUTES.c.value_json)
        .outerjoin(TRIAL_ATTRIBUTES, is_paired)
        .where(ranked.c.place == 1)
    )


def _best(row: Row[Any]) -> BestTrial:
    paired = None if row.value_json is None else json.loads(row.value_json)
    return BestTrial(row.number, row.value, paired)


def _open_attempts() -> Select[Any]:
    columns = ATTEMPTS.c
    return (
        select(columns.study_id, columns.owner, columns.renewed)
        .where(~columns.released)
        .order_by(columns.claimed)
    )


def _latest_attempts() -> Select[Any]:
    """Return a query with a row a study, the attempt that was renewed last."""
    columns = ATTEMPTS.c
    newer_first = [columns.renewed.desc(), columns.attempt_id]
    place = func.row_number().over(partition_by=columns.study_id, order_by=newer_first)
    placed = select(columns.study_id, columns.owner, columns.renewed, place.label("place"))
    ranked = placed.subquery()
    return select(ranked).where(ranked.c.place == 1)


def _activities(connection: Connection, query: Select[Any]) -> dict[int, list[Activity]]:
    found: dict[int, list[Activity]] = {}
    for row in connection.execute(query):
        found.setdefault(row.study_id, []).append(Activity(Owner.parse(row.owner), row.renewed))
    return found


def _last_change(count: Row[Any] | None, latest: Sequence[Activity]) -> float | None:
    """Return the latest time of trials and attempts; Optuna's times are local ones without a zone."""
    times = [activity.renewed for activity in latest]
    if count is not None:
        trial_times: list[datetime | None] = [count.started, count.ended]
        times += [time.timestamp() for time in trial_times if time is not None]
    return max(times, default=None)
