"""Upgrading the tables of a database, and copying a study from one database to another."""

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import insert, select, update
from sqlalchemy.engine import URL

from blade_tune.errors import ConfigError, StorageError
from blade_tune.storage.attempts import ATTEMPTS, Attempts
from blade_tune.storage.connect import (
    connect,
    creating,
    masked,
    open_storage,
    storage_errors,
    versions,
)
from blade_tune.storage.optuna_storage import STUDIES, STUDY_ATTRIBUTES, StudyStorage
from blade_tune.storage.trials import count_states
from blade_tune.study.ownership import Identity
from blade_tune.study.stored import StoredStudy


def upgrade(url: URL) -> tuple[str, str]:
    """Upgrade the tables that an older Optuna made to the version of the installed one.

    Returns:
        The version of the tables before, and the version now.

    Raises:
        StorageError: a newer Optuna made the tables, or the database cannot be reached.
    """
    storage = connect(url, create=False)
    with creating(url), storage_errors(url), _own_logging():
        version, ours = versions(storage, url)
        if version != ours:
            storage.upgrade()
    return version, ours


def copy_study(stored: StoredStudy, url: URL) -> dict[str, int]:
    """Copy a study into another database under the same name.

    The copy has a provisional name until it is complete, so that no run opens a part of a study.

    Args:
        stored: the study to copy.
        url: the database to copy it to, created if there is none.

    Returns:
        The number of rows of each state, as `count_states` returns it.

    Raises:
        ConfigError: a worker is at work on the study, or the other database has a study of its name.
        StorageError: the study changed while it was copied, or a database cannot be reached.
    """
    name = stored.definition.name
    unfinished = f"{name} (being copied)"  # no study file can be called so
    target = open_storage(url, create=True)
    with creating(url), storage_errors(url):
        # Whether it can be copied
        Attempts.create_table(target)
        names = [study.study_name for study in target.get_all_studies()]
        if name in names:
            raise ConfigError(f"{masked(url)}: a study {name!r} is stored there already.")
        if unfinished in names:  # a process was killed while it copied
            optuna.delete_study(study_name=unfinished, storage=target)
        _require_idle(stored)
        # Its rows, its identity and its attempts
        optuna.copy_study(
            from_study_name=name,
            from_storage=stored.storage,
            to_storage=target,
            to_study_name=unfinished,
        )
        study_id = target.get_study_id_from_name(unfinished)
        copy = optuna.load_study(study_name=unfinished, storage=target)
        Identity.new(Identity.of(stored.study)).store(copy)
        _forget_files(target, study_id)
        _copy_attempts(stored, target, study_id)
        # A worker may have started, and even finished, while the rows were copied.
        _require_idle(stored)
        if _extent(target.get_all_trials(study_id)) != _extent(stored.trials):
            raise StorageError(
                f"study {name}: its trials changed while they were copied; try again."
            )
        # Its name, now that it is complete
        own_row = STUDIES.c.study_id == study_id
        with target.engine.begin() as connection:
            connection.execute(update(STUDIES).where(own_row).values(study_name=name))
    return count_states(stored.trials)


def _require_idle(stored: StoredStudy) -> None:
    running = [trial.number for trial in stored.trials if trial.state == TrialState.RUNNING]
    if running or stored.attempts.open_attempts():
        work = f"trial {running[0]} runs" if running else "a worker has it"
        raise ConfigError(
            f"study {stored.definition.name}: only a study that nobody works on is copied, and {work}; "
            "`blade-tune stop` ends it, and what a killed worker left is found by the next `blade-tune run`."
        )


def _forget_files(target: StudyStorage, study_id: int) -> None:
    """Remove from a copy the study's own files in the dashboard, which the original would go on to replace.

    The next run of the copy writes its own. The files of trials stay, since nothing writes them again.
    """
    columns = STUDY_ATTRIBUTES.c
    files = (columns.study_id == study_id) & columns.key.startswith("artifacts:")
    with target.engine.begin() as connection:
        connection.execute(STUDY_ATTRIBUTES.delete().where(files))


def _copy_attempts(stored: StoredStudy, target: StudyStorage, study_id: int) -> None:
    """Copy the attempts, from which the cost of the study is computed, under new ids."""
    Attempts.create_table(stored.storage)  # an earlier version made the study without this table
    query = select(ATTEMPTS).where(ATTEMPTS.c.study_id == stored.study_id)
    with stored.storage.engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    Attempts(target, study_id).clear()
    if rows:
        copies = [{**row, "study_id": study_id, "attempt_id": uuid.uuid4().hex} for row in rows]
        with target.engine.begin() as connection:
            connection.execute(insert(ATTEMPTS), copies)


def _extent(trials: list[FrozenTrial]) -> tuple[dict[str, int], int, int]:
    """Return how much a study holds: the number of rows by state, of parameters, and of reports."""
    num_params = sum(len(trial.params) for trial in trials)
    num_reports = sum(len(trial.intermediate_values) for trial in trials)
    return count_states(trials), num_params, num_reports


@contextmanager
def _own_logging() -> Iterator[None]:
    """Keep Optuna's migration from configuring logging, as it does where the root logger has no handler."""
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
