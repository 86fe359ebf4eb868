"""Histories of users to recommend to, from a log or from Python objects, under the numbers of a model's items."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import duckdb
import numpy as np
import torch
from numpy.typing import NDArray

from blade_tune.catalog import Interactions
from blade_tune.config import guess
from blade_tune.data.raw.database import connected
from blade_tune.data.raw.forms import LogPart, open_log
from blade_tune.data.raw.load import Log
from blade_tune.data.raw.settings import LogFormat
from blade_tune.data.sequences import Windows
from blade_tune.errors import ConfigError, DataError

Interaction = tuple[str, Collection[str]]  # an item and its behaviors


@dataclass(frozen=True)
class Histories:
    """Interactions of users in time order, user after user, and the record of what was left out.

    Every user of the input is among them, also those without a usable row. All instances are made by `of`, so that
    histories from a log and from Python follow the same rules.
    """

    users: list[str]  # ids of all users of the input
    met: Interactions  # users_N are positions in `users`, ascending; items_N are the model's numbers of known items
    seen: Interactions  # known items that users only know, without a behavior; `users_N` are ascending
    # Whether a user has a row with an item, known or not, and a behavior
    has_row_U: NDArray[np.bool_]
    has_seen_U: NDArray[np.bool_]  # and whether one with an item that was only seen
    unknown_items: list[str]  # ids that the model does not know
    left_out: Mapping[str, int]  # number of unusable rows by reason
    # The most frequent types of events that are none of the behaviors
    other_types: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        users: list[str],
        rows: Interactions,
        seen: Interactions,
        unknown_items: list[str],
        left_out: Mapping[str, int],
        *,
        keep_repeats: bool = False,
    ) -> Self:
        """Build histories from rows, of which those without a behavior and those of unknown items are left out.

        Of rows with the same user, item and set the first is kept, unless repeats are.

        Args:
            users: ids of all users of the input.
            rows: users are positions in `users`, ascending; items are the model's numbers, 0 for an unknown item.
            seen: items that users only know, in the same form.
            unknown_items: ids of the unknown items.
            left_out: number of rows that were left out before, by reason.
            keep_repeats: whether all rows with the same user, item and set are kept.
        """
        empty = int(len(rows) - rows.nonempty_N.sum())
        rows = rows.rows(rows.nonempty_N)
        known = rows.rows(rows.items_N > 0)
        reasons = {**left_out, "no_behavior": left_out.get("no_behavior", 0) + empty}
        met = known if keep_repeats else known.rows(_firsts(known))
        return cls(
            users,
            met,
            seen.rows(seen.items_N > 0),
            np.bincount(rows.users_N, minlength=len(users)) > 0,
            np.bincount(seen.users_N, minlength=len(users)) > 0,
            unknown_items,
            reasons,
        )

    @property
    def known(self) -> Self:
        """The same users with all items that they know as their histories: those that they met or only saw."""
        if not len(self.seen):
            return self
        users_N = np.concatenate((self.met.users_N, self.seen.users_N))
        rows = Interactions(
            users_N,
            np.concatenate((self.met.items_N, self.seen.items_N)),
            np.concatenate((self.met.sets_NK, self.seen.sets_NK)),
        )
        return replace(self, met=rows.rows(np.argsort(users_N, kind="stable")))

    @property
    def num_items_U(self) -> NDArray[np.int64]:
        """Number of different known items that each user has met."""
        base = int(self.met.items_N.max(initial=0)) + 1
        keys_X = np.unique(self.met.users_N.astype(np.int64) * base + self.met.items_N)
        return np.bincount(keys_X // base, minlength=len(self.users))

    def windows(self, max_length: int) -> Windows:
        """Return windows of at most `max_length` steps, one a user, whose last target is the item to recommend.

        That target is not known yet: item 1 without a behavior takes its place, and the caller tells the model the
        wanted behavior set instead.
        """
        num_users = len(self.users)
        places_N = np.concatenate((self.met.users_N, np.arange(num_users)))
        order_N = np.argsort(places_N, kind="stable")
        # The placeholder follows all interactions of its user, since the sort is stable.
        next_items_U = np.ones(num_users, np.int32)
        next_sets_UK = np.zeros((num_users, self.met.sets_NK.shape[1]), np.uint8)
        items_N = np.concatenate((self.met.items_N.astype(np.int32), next_items_U))[order_N]
        sets_NK = np.concatenate((self.met.sets_NK, next_sets_UK))[order_N]
        bounds_U = np.searchsorted(places_N[order_N], np.arange(num_users + 1))
        arrays = (items_N, sets_NK, bounds_U[:-1], bounds_U[1:])
        return Windows(max_length, *map(torch.from_numpy, arrays))


def histories_of(
    interactions: Mapping[str, Sequence[Interaction]],
    seen: Mapping[str, Collection[str]],
    numbers: Mapping[str, int],
    form: LogFormat,
) -> Histories:
    """Build histories from Python objects.

    Args:
        interactions: user -> interactions, oldest first, each an item and its behaviors.
        seen: user -> items that the user only knows; users without interactions may be among them.
        numbers: id -> number of the items that the model knows.
        form: of the model's own log; it has the names of behaviors, and says whether repeats are kept.

    Raises:
        ConfigError: a behavior is none of the model's, or an id is no text.
    """
    # One list a column, user after user
    users = list(dict.fromkeys((*interactions, *seen)))
    user_positions: list[int] = []
    items: list[str] = []
    behavior_sets: list[Collection[str]] = []
    for position, user in enumerate(users):
        for item, names in interactions.get(user, ()):
            user_positions.append(position)
            items.append(item)
            behavior_sets.append(names)
    pairs = [(place, item) for place, user in enumerate(users) for item in seen.get(user, ())]
    for identifier in (*users, *items, *(item for _, item in pairs)):
        if not isinstance(identifier, str):
            raise ConfigError(f"ids of users and items must be text, got {identifier!r}.")

    # Names as numbers
    behaviors = form.behaviors
    columns = {name: k for k, name in enumerate(behaviors)}
    sets_NK = np.zeros((len(items), len(behaviors)), np.uint8)
    for row, names in enumerate(behavior_sets):
        for name in names:
            if name not in columns:
                raise ConfigError(f"unknown behavior {name!r}. {guess(name, behaviors)}")
            sets_NK[row, columns[name]] = 1
    items_N = np.array([numbers.get(item, 0) for item in items], np.int64)
    rows = Interactions(np.array(user_positions, np.int64), items_N, sets_NK)
    only_seen = Interactions(
        np.array([place for place, _ in pairs], np.int64),
        np.array([numbers.get(item, 0) for _, item in pairs], np.int64),
        np.zeros((len(pairs), len(behaviors)), np.uint8),
    )

    # An item without a behavior is no interaction, so it is not reported as unknown either.
    unknown = {
        item
        for item, names in zip(items, behavior_sets, strict=True)
        if names and item not in numbers
    }
    return Histories.of(users, rows, only_seen, sorted(unknown), {}, keep_repeats=form.keep_repeats)


def read_histories(parts: Sequence[LogPart], numbers: Mapping[str, int]) -> Histories:
    """Read histories from a log in any format that `data prepare` reads, with its rules of merging rows.

    Args:
        parts: those of the log, in the order in which they are read.
        numbers: id -> number of the items that the model knows.

    Raises:
        DataError: the log is malformed, or none of its rows has a user.
    """
    source, form = parts[0].source, parts[0].form
    with TemporaryDirectory() as folder, connected(Path(folder)) as database:
        # Read the rows
        log = Log(database, open_log(parts, database, Path(folder)))
        left_out, other_types = log.counts(), log.other_types()
        num_rows = left_out.pop("rows")
        if num_rows and left_out["no_user"] == num_rows:
            raise DataError(
                f"{source}: some row must have a user in {form.user!r}, and none of {num_rows:,} has."
            )
        # Users are noted before rows merge, for a user without a usable row is among the histories too.
        database.execute(
            "CREATE TABLE all_users AS SELECT DISTINCT user_id FROM rows WHERE user_id IS NOT NULL"
        )
        database.execute(
            "CREATE TABLE only_seen AS SELECT *, 0 AS mask, row_number() OVER () AS position FROM (SELECT DISTINCT "
            "user_id, item_id FROM rows WHERE seen AND user_id IS NOT NULL AND item_id IS NOT NULL)"
        )
        log.interact()
        users, _ = _distinct(database, "user_id", "all_users", "met")
        rows, items = _numbered(database, "met", numbers, len(form.behaviors))
        seen, _ = _numbered(database, "only_seen", numbers, len(form.behaviors))

    unknown = [item for item in items if item not in numbers]
    histories = Histories.of(users, rows, seen, unknown, left_out, keep_repeats=form.keep_repeats)
    return replace(histories, other_types=other_types)


def _numbered(
    database: duckdb.DuckDBPyConnection,
    table: str,
    numbers: Mapping[str, int],
    num_behaviors: int,
) -> tuple[Interactions, list[str]]:
    """Return the rows of a table, user after user in order of time, and the ids of their items.

    Users are positions among all users, items the model's numbers, 0 for an unknown one.
    """
    _, places_N = _distinct(database, "user_id", "all_users", table)
    items, items_N = _distinct(database, "item_id", table, table)
    ordered = database.execute(f"SELECT mask FROM {table} ORDER BY user_id, position")
    masks_N = ordered.fetchnumpy()["mask"].astype(np.uint32)
    columns_K = np.arange(num_behaviors, dtype=np.uint32)
    sets_NK = (masks_N[:, None] >> columns_K & 1).astype(np.uint8)
    numbers_X = np.array([numbers.get(item, 0) for item in items], np.int64)
    return Interactions(places_N, numbers_X[items_N], sets_NK), items


def _distinct(
    database: duckdb.DuckDBPyConnection, column: str, table: str, rows: str
) -> tuple[list[str], NDArray[np.int64]]:
    """Return the sorted distinct ids of a table's column, and for each of some rows the position of its id in them.

    Rows are those of the table `rows`, in the order of users and of time, which is that of the histories.
    """
    ranked = f"SELECT {column}, row_number() OVER (ORDER BY {column}) - 1 AS place FROM {table} GROUP BY {column}"
    ids = database.execute(f"SELECT {column} FROM ({ranked}) ORDER BY place").fetchall()
    joined = f"SELECT place FROM {rows} JOIN ({ranked}) USING ({column}) ORDER BY user_id, position"
    places_N = database.execute(joined).fetchnumpy()["place"]
    return [str(name) for (name,) in ids], places_N.astype(np.int64)


def _firsts(rows: Interactions) -> NDArray[np.bool_]:
    """Return the mask of rows for which no earlier row has the same user, item and set."""
    bits_K = 1 << np.arange(rows.sets_NK.shape[1], dtype=np.int64)
    codes_N = rows.sets_NK.astype(np.int64) @ bits_K
    keys_3N = np.stack((codes_N, rows.items_N, rows.users_N))
    order_N = np.lexsort(keys_3N)  # stable, so that of equal rows the earliest comes first
    is_new_N = np.ones(len(rows), np.bool_)
    is_new_N[order_N[1:]] = (keys_3N[:, order_N[1:]] != keys_3N[:, order_N[:-1]]).any(axis=0)
    return is_new_N
