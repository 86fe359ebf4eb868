"""Histories of users, from a log or from Python, under the numbers of a model's items."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import torch
from numpy.typing import NDArray

from blade_tune.config import guess
from blade_tune.data.raw.database import connected
from blade_tune.data.raw.files import open_log
from blade_tune.data.raw.load import Log
from blade_tune.data.raw.settings import LogFormat
from blade_tune.data.raw.unpack import find
from blade_tune.data.sequences import Windows
from blade_tune.errors import ConfigError

Interaction = tuple[str, Collection[str]]  # an item and its behaviors


@dataclass(frozen=True)
class Histories:
    """What each user met, user after user, each in order of time."""

    users: list[str]
    places_N: NDArray[np.int64]  # of the user among `users`, ascending
    items_N: NDArray[np.int32]  # numbers of the model; 0 for an item it does not know
    sets_NK: NDArray[np.uint8]
    unknown_items: list[str]
    left_out: Mapping[str, int]  # rows of a log that say nothing, by reason

    def windows(self, max_length: int) -> Windows:
        """A row for each user, whose last target is still to come; items that the model does not know are left out.

        What stands in place of that target is item 1 with no behavior; models are told the hoped-for set instead.
        """
        known_N = self.items_N > 0
        places_N = np.concatenate((self.places_N[known_N], np.arange(len(self.users))))
        order_N = np.argsort(places_N, kind="stable")
        to_come = np.ones(len(self.users), np.int32), np.zeros((len(self.users), self.sets_NK.shape[1]), np.uint8)
        items_N = np.concatenate((self.items_N[known_N], to_come[0]))[order_N]
        sets_NK = np.concatenate((self.sets_NK[known_N], to_come[1]))[order_N]
        bounds_U = np.searchsorted(places_N[order_N], np.arange(len(self.users) + 1))
        arrays = (items_N, sets_NK, bounds_U[:-1], bounds_U[1:])
        return Windows(max_length, *map(torch.from_numpy, arrays))


def histories_of(
    given: Mapping[str, Sequence[Interaction]], numbers: Mapping[str, int], behaviors: Sequence[str]
) -> Histories:
    """From Python: the interactions of each user, oldest first.

    Args:
        given: user -> (item, its behaviors).
        numbers: of the items that the model knows.
        behaviors: of the model.

    Raises:
        ConfigError: a behavior is none of the model's.
    """
    columns = {name: k for k, name in enumerate(behaviors)}
    rows = [(place, *interaction) for place, history in enumerate(given.values()) for interaction in history]
    sets_NK = np.zeros((len(rows), len(behaviors)), np.uint8)
    for row, (_, _, names) in enumerate(rows):
        for name in names:
            if name not in columns:
                raise ConfigError(f"unknown behavior {name!r}. {guess(name, behaviors)}")
            sets_NK[row, columns[name]] = 1
    return Histories(
        users=list(given),
        places_N=np.array([place for place, _, _ in rows], np.int64),
        items_N=np.array([numbers.get(item, 0) for _, item, _ in rows], np.int32),
        sets_NK=sets_NK,
        unknown_items=sorted({item for _, item, _ in rows if item not in numbers}),
        left_out={},
    )


def read_histories(source: Path, form: LogFormat, numbers: Mapping[str, int]) -> Histories:
    """From a log in any form that `data prepare` reads; rows become interactions as they do there.

    Raises:
        DataError: the log is malformed.
    """
    with TemporaryDirectory() as folder, connected(Path(folder)) as database:
        file = find(source, None, Path(folder))
        is_split = form == LogFormat.of_split_files(form.behaviors)
        log = Log(database, open_log(file, database, form.used if is_split else ()), form)
        left_out = log.counts()
        log.interact()
        items, items_N = _distinct(database, "item_id")
        users, places_N = _distinct(database, "user_id")
        masks_N = database.execute("SELECT mask FROM met ORDER BY user_id, position").fetchnumpy()["mask"]
    numbers_X = np.array([numbers.get(item, 0) for item in items], np.int32)
    columns_K = np.arange(len(form.behaviors), dtype=np.uint32)
    return Histories(
        users=users,
        places_N=places_N,
        items_N=numbers_X[items_N] if len(items) else np.empty(0, np.int32),
        sets_NK=(masks_N.astype(np.uint32)[:, None] >> columns_K & 1).astype(np.uint8),
        unknown_items=[item for item, number in zip(items, numbers_X, strict=True) if not number],
        left_out={reason: left_out[reason] for reason in ("no_user", "no_item", "no_time")},
    )


def _distinct(database: duckdb.DuckDBPyConnection, column: str) -> tuple[list[str], NDArray[np.int64]]:
    """The ids of a column of `met`, in their order, and the place of that of each row, user after user."""
    ids = database.execute(f"SELECT DISTINCT {column} FROM met ORDER BY {column}").fetchall()
    ranked = f"SELECT user_id, position, dense_rank() OVER (ORDER BY {column}) - 1 AS place FROM met"
    places_N = database.execute(f"SELECT place FROM ({ranked}) ORDER BY user_id, position").fetchnumpy()["place"]
    return [str(name) for (name,) in ids], places_N.astype(np.int64)
