"""Internal ids of users and items, which number those of the train rows only.

Numbering on train alone keeps knowledge of later rows out of the model: not even the number of items leaks. Rows of
users and items without a train row are dropped and counted.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blade_tune.catalog import Ids, Interactions
from blade_tune.data.table import Part, distinct

# Raw ids whose span is at most so many times their number are looked up in a table, 40 times faster than by search.
DENSE = 16


@dataclass(frozen=True)
class Numbering:
    """Raw ids in ascending order: the position of an id is its internal id, and position 0 is padding."""

    user_ids_U: NDArray[np.int64]
    item_ids_V: NDArray[np.int64]

    @classmethod
    def of(cls, train: Interactions) -> "Numbering":
        """Number the users and items that have a train row with at least one behavior."""
        real = train.rows(train.nonempty_N)
        return cls(_numbered(real.users_N), _numbered(real.items_N))

    def part(self, rows: Interactions) -> tuple[Part, dict[str, int]]:
        """Renumber the rows of one part of a data set.

        Returns:
            The rows under internal ids, sorted by user, with the time order of each user kept; and the number of
            dropped rows by reason: `empty_set`, `unseen_user`, `unseen_item`.
        """
        users_N = _positions(self.user_ids_U, rows.users_N)
        items_N = _positions(self.item_ids_V, rows.items_N)

        # A dropped row counts under the first reason that holds
        real_N = rows.nonempty_N
        known_N = real_N & (users_N > 0)
        kept_N = known_N & (items_N > 0)
        dropped = {
            "empty_set": int((~real_N).sum()),
            "unseen_user": int((real_N & ~known_N).sum()),
            "unseen_item": int((known_N & ~kept_N).sum()),
        }
        part = Part(users_N, items_N, rows.sets_NK).rows(kept_N)
        by_user = np.argsort(part.users_N, kind="stable")
        return part.rows(by_user), dropped


def _numbered(ids_N: Ids) -> NDArray[np.int64]:
    return np.concatenate([[0], distinct(ids_N)]).astype(np.int64)


def _positions(known: NDArray[np.int64], ids_N: Ids) -> NDArray[np.int32]:
    """Return the internal id of each raw id, 0 for an unknown one."""
    if len(known) == 1:
        return np.zeros(len(ids_N), np.int32)
    lowest, highest = int(known[1]), int(known[-1])

    # A table of the whole span, if it fits into memory
    if highest - lowest < DENSE * len(known):
        table = np.zeros(highest - lowest + 1, np.int32)
        table[known[1:] - lowest] = np.arange(1, len(known))
        is_inside_N = (ids_N >= lowest) & (ids_N <= highest)
        rows_N = np.where(is_inside_N, ids_N - lowest, 0)
        return table[rows_N] * is_inside_N

    # Otherwise a binary search; ids above the highest known one get position 0, whose id differs from theirs
    positions_N = 1 + np.searchsorted(known[1:], ids_N)
    positions_N[positions_N == len(known)] = 0
    is_known_N = known[positions_N] == ids_N
    return np.where(is_known_N, positions_N, 0).astype(np.int32)
