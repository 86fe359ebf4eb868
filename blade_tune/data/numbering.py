"""Internal ids: users and items are numbered on train, so that nothing of them is learned from later rows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blade_tune.batch import Ids, Interactions
from blade_tune.data.table import Part, distinct

DENSE = 16  # raw ids that span at most so many times their number are looked up, 40 times faster than searched


@dataclass(frozen=True)
class Numbering:
    """Raw ids in ascending order; the position in the array is the internal id, position 0 is padding."""

    user_ids_U: NDArray[np.int64]
    item_ids_V: NDArray[np.int64]

    @classmethod
    def of(cls, train: Interactions) -> "Numbering":
        """Number the users and items that have a row with a behavior."""
        real = train.rows(train.nonempty_N)
        return cls(_numbered(real.users_N), _numbered(real.items_N))

    def part(self, rows: Interactions) -> tuple[Part, dict[str, int]]:
        """The rows under internal ids, sorted by user, and how many were dropped by each reason."""
        users_N = _positions(self.user_ids_U, rows.users_N)
        items_N = _positions(self.item_ids_V, rows.items_N)
        real_N = rows.nonempty_N
        known_N = real_N & (users_N > 0)
        kept_N = known_N & (items_N > 0)
        dropped = {
            "empty_set": int((~real_N).sum()),
            "unseen_user": int((real_N & ~known_N).sum()),
            "unseen_item": int((known_N & ~kept_N).sum()),
        }
        part = Part(users_N, items_N, rows.sets_NK).rows(kept_N)
        return part.rows(np.argsort(part.users_N, kind="stable")), dropped


def _numbered(ids_N: Ids) -> NDArray[np.int64]:
    return np.concatenate([[0], distinct(ids_N)]).astype(np.int64)


def _positions(known: NDArray[np.int64], ids_N: Ids) -> NDArray[np.int32]:
    """The internal id of each raw id; 0 where it is unknown."""
    if len(known) == 1:
        return np.zeros(len(ids_N), np.int32)
    lowest, highest = int(known[1]), int(known[-1])
    if highest - lowest < DENSE * len(known):
        places = np.zeros(highest - lowest + 1, np.int32)
        places[known[1:] - lowest] = np.arange(1, len(known))
        is_inside_N = (ids_N >= lowest) & (ids_N <= highest)
        return places[np.where(is_inside_N, ids_N - lowest, 0)] * is_inside_N
    positions_N = 1 + np.searchsorted(known[1:], ids_N)
    positions_N[positions_N == len(known)] = 0
    return np.where(known[positions_N] == ids_N, positions_N, 0).astype(np.int32)
