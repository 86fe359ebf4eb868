"""Functions on tables of interactions, which have one row for each interaction and {0, 1} columns for its behaviors.

Shapes follow the legend of `blade_tune.batch`: N rows, U users, K behaviors. A user or an item 0 is padding.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blade_tune.catalog import Ids, Interactions

ROWS_AT_ONCE = 5_000_000  # rows whose sets are counted in one go


@dataclass(frozen=True)
class Part(Interactions):
    """Interactions under internal ids (int32, from 1), sorted by user and in time order within a user."""


def concatenate(tables: Sequence[Interactions]) -> Interactions:
    """Return one table of the rows of all tables, in the order given."""
    return Interactions(
        np.concatenate([table.users_N for table in tables]),
        np.concatenate([table.items_N for table in tables]),
        np.concatenate([table.sets_NK for table in tables]),
    )


def user_item_keys(parts: Sequence[Part], num_items: int) -> NDArray[np.int64]:
    """Return what each user has met as sorted unique keys, user * (num_items + 1) + item, for binary search."""
    rows = concatenate(parts)
    keys_N = rows.users_N.astype(np.int64) * (num_items + 1) + rows.items_N
    return distinct(keys_N).astype(np.int64, copy=False)


def distinct(numbers_N: Ids) -> Ids:
    """Return the sorted unique numbers, as np.unique does.

    If most numbers differ, sorting alone is many times faster than the hash table of np.unique.
    """
    sorted_N = np.sort(numbers_N)
    return sorted_N[_starts_run(sorted_N)]


def unmet_before(keys_N: NDArray[np.int64], num_items: int) -> NDArray[np.int64]:
    """Return, for each met item, how many smaller items its user never met.

    With these counts the n-th item that a user never met is found by one binary search.

    Args:
        keys_N: sorted keys of `user_item_keys`.
        num_items: V.

    Returns:
        user * (num_items + 1) + count for each key; sorted like the keys.
    """
    users_N = keys_N // (num_items + 1)
    positions_N = np.arange(len(keys_N))
    # The position of the user's first key, for each key
    firsts_N = np.where(_starts_run(users_N), positions_N, 0)
    firsts_N = np.maximum.accumulate(firsts_N)
    # There are item - 1 smaller items; those that the user met are the user's keys before this one.
    num_met_N = positions_N - firsts_N
    return keys_N - 1 - num_met_N


def _starts_run(sorted_N: Ids) -> NDArray[np.bool_]:
    """Return the mask of numbers that differ from the one before; the first one counts as different."""
    starts_N = np.ones(len(sorted_N), bool)
    starts_N[1:] = sorted_N[1:] != sorted_N[:-1]
    return starts_N


def pair_counts(sets_NK: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return pair_counts_KK: how many rows have both behaviors; the diagonal counts those with one."""
    rows = []
    for k in range(sets_NK.shape[1]):
        with_k_NK = sets_NK[sets_NK[:, k] > 0]
        rows.append(with_k_NK.sum(axis=0, dtype=np.int64))
    return np.stack(rows)


def mode_target_set(sets_NK: NDArray[np.uint8], auxiliary: Sequence[int]) -> NDArray[np.uint8]:
    """Return set_K, the most frequent behavior set among rows with a target behavior.

    Of sets that are equally frequent it is the one whose behaviors come first in the order of columns. Where no row has
    a target behavior, it is the set of all target behaviors.

    Args:
        sets_NK: the rows' behavior sets.
        auxiliary: columns of the auxiliary behaviors; all others are target behaviors.
    """
    num_behaviors = sets_NK.shape[1]
    places_K = 1 << np.arange(num_behaviors, dtype=np.int64)  # a set's code is the sum of these
    target_code = int(np.delete(places_K, auxiliary).sum())
    counts: Counter[int] = Counter()
    for first in range(0, len(sets_NK), ROWS_AT_ONCE):
        codes_N = sets_NK[first : first + ROWS_AT_ONCE] @ places_K
        codes, numbers = np.unique(codes_N, return_counts=True)
        counts.update(dict(zip(codes.tolist(), numbers.tolist(), strict=True)))
    targets = {code: count for code, count in counts.items() if code & target_code}
    code = min(targets, key=lambda code: (-targets[code], code), default=target_code)
    return (code >> np.arange(num_behaviors) & 1).astype(np.uint8)


def in_user_order(parts: Sequence[Part]) -> Interactions:
    """Return the rows of all parts sorted by user, those of one user part after part."""
    rows = concatenate(parts)
    return rows.rows(np.argsort(rows.users_N, kind="stable"))


def bounds_of(users_N: Ids, num_users: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the rows of each of the users 1..num_users start and end in a table sorted by user.

    Returns:
        starts_U and ends_U, positions in `users_N`; they are equal for a user without a row.
    """
    bounds = np.searchsorted(users_N, np.arange(1, num_users + 2)).astype(np.int64)
    return bounds[:-1], bounds[1:]
