"""Tables of interactions: one row an interaction, the set of behaviors in it as {0, 1} columns.

To the legend of `blade_tune.batch` come N rows of a table and U users; a user or an item 0 is padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blade_tune.batch import Ids, Interactions


@dataclass(frozen=True)
class Part(Interactions):
    """Interactions under internal ids from 1, int32, sorted by user; time order is kept within a user."""


def concatenate(tables: Sequence[Interactions]) -> Interactions:
    """One table of all rows, in the order given."""
    return Interactions(
        np.concatenate([table.users_N for table in tables]),
        np.concatenate([table.items_N for table in tables]),
        np.concatenate([table.sets_NK for table in tables]),
    )


def user_item_keys(parts: Sequence[Part], num_items: int) -> NDArray[np.int64]:
    """Sorted unique user * (num_items + 1) + item: what each user has met, ready for a binary search."""
    rows = concatenate(parts)
    return distinct(rows.users_N.astype(np.int64) * (num_items + 1) + rows.items_N).astype(np.int64, copy=False)


def distinct(numbers_N: Ids) -> Ids:
    """np.unique by sorting alone: where most numbers differ, that is many times faster than its hash table."""
    sorted_N = np.sort(numbers_N)
    return sorted_N[_starts_run(sorted_N)]


def unmet_before(keys_N: NDArray[np.int64], num_items: int) -> NDArray[np.int64]:
    """For each of these keys, user * (num_items + 1) + how many items below its own the user never met; sorted too."""
    users_N = keys_N // (num_items + 1)
    places_N = np.arange(len(keys_N))
    firsts_N = np.maximum.accumulate(np.where(_starts_run(users_N), places_N, 0))  # the place of the user's first key
    return keys_N - 1 - (places_N - firsts_N)


def _starts_run(sorted_N: Ids) -> NDArray[np.bool_]:
    """True where a number is not the one before."""
    starts_N = np.ones(len(sorted_N), bool)
    starts_N[1:] = sorted_N[1:] != sorted_N[:-1]
    return starts_N


def pair_counts(sets_NK: NDArray[np.uint8]) -> NDArray[np.int64]:
    """pair_counts_KK: rows with both behaviors."""
    return np.stack([sets_NK[sets_NK[:, k] > 0].sum(axis=0, dtype=np.int64) for k in range(sets_NK.shape[1])])
