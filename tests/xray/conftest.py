"""Small data sets whose law is known."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blade_tune.catalog import Catalog, Interactions
from blade_tune.data.store import SearchData, prepare
from blade_tune.data.table import pair_counts
from blade_tune.xray.task import Task
from tests.data.examples import SYNTHETIC, config


@pytest.fixture
def planted(tmp_path: Path) -> Callable[..., SearchData]:
    """Made-up data: 600 short histories, unless something else is asked for."""

    def make(**changes: Any) -> SearchData:
        given = {"num_users": 600, "min_length": 6, "max_length": 14, "noise": 0.0, **changes}
        return prepare(config(SYNTHETIC, **given), None, tmp_path)

    return make


def catalog_of(task: Task, auxiliary: tuple[int, ...] = (0,)) -> Catalog:
    """Of the rows of a task."""
    pairs_KK = pair_counts(task.rows.sets_NK)
    names = ("click", "like", "share")[: len(pairs_KK)]
    return Catalog(
        len(task), task.num_items, names, auxiliary, pairs_KK.diagonal().copy(), pairs_KK
    )


def random_task(seed: int, num_users: int = 6, num_items: int = 7, window: int = 4) -> Task:
    """Rows, sets and what came next, all drawn; the last user is not asked about."""
    random = np.random.default_rng(seed)
    lengths_U = random.integers(1, 9, num_users)
    users_N = np.repeat(np.arange(1, num_users + 1), lengths_U)
    sets_NK = (random.random((len(users_N), 3)) < (0.8, 0.4, 0.2)).astype(np.uint8)
    sets_NK[~sets_NK.any(axis=1), 0] = 1
    rows = Interactions(users_N, random.integers(1, num_items + 1, len(users_N)), sets_NK)
    asked_U = np.arange(1, num_users)
    items_U = random.integers(1, num_items + 1, len(asked_U))
    return Task(
        rows, asked_U, items_U, sets_NK[: len(asked_U)], num_items, window, "window", min(window, 3)
    )
