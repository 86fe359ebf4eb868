"""Names of stored studies and numbers of their trials, read within milliseconds and without Optuna."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SQLITE_URL = "sqlite:///"
PATIENCE_S = 1  # to wait for a database; nobody waits longer for a completion

STUDIES = "SELECT study_name FROM studies ORDER BY study_id"
TRIALS = """
    SELECT trials.number, lower(CAST(trials.state AS VARCHAR(16))), trial_values.value FROM trials
    JOIN studies ON studies.study_id = trials.study_id
    LEFT JOIN trial_values ON trial_values.trial_id = trials.trial_id
    WHERE studies.study_name = {mark} ORDER BY trials.number
"""


def stored_names(storage: str | None, results: Path) -> list[str]:
    """Return the names of all stored studies in the order in which they were made; empty where there is no database.

    Args:
        storage: the URL of the database; None for the SQLite file in the results folder.
        results: the results folder.
    """
    return [name for (name,) in _rows(storage, results, STUDIES, ())]


def stored_trials(storage: str | None, results: Path, study: str) -> list[tuple[int, str]]:
    """Return the number of each trial of a stored study with its state and value in words: (3, "complete, 0.4921").

    Args:
        storage: the URL of the database; None for the SQLite file in the results folder.
        results: the results folder.
        study: the name of the study.
    """
    found = []
    for number, state, value in _rows(storage, results, TRIALS, (study,)):
        found.append((int(number), state if value is None else f"{state}, {value:.4g}"))
    return found


def _rows(
    storage: str | None, results: Path, query: str, values: Sequence[str]
) -> list[tuple[Any, ...]]:
    if storage is None or storage.startswith(SQLITE_URL):
        path = results / "studies.db"
        if storage is not None:
            path = Path(storage.removeprefix(SQLITE_URL)).expanduser()
        return _sqlite_rows(path, query.format(mark="?"), values)
    return _postgres_rows(storage, query.format(mark="%s"), values)


def _sqlite_rows(path: Path, query: str, values: Sequence[str]) -> list[tuple[Any, ...]]:
    if not path.is_file():
        return []
    # Read-only, so that asking for names never makes a file
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=PATIENCE_S)
    try:
        return connection.execute(query, values).fetchall()
    finally:
        connection.close()


def _postgres_rows(url: str, query: str, values: Sequence[str]) -> list[tuple[Any, ...]]:
    import psycopg

    scheme, _, rest = url.partition("://")
    libpq_url = f"{scheme.partition('+')[0]}://{rest}"
    with psycopg.connect(libpq_url, connect_timeout=PATIENCE_S + 1) as connection:
        return connection.execute(query.encode(), values).fetchall()
