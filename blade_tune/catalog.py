"""What is known of a data set without torch: tables of interactions, and the catalog of items and behaviors.

The suffix of an array's name is its shape, see batch.py.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Catalog:
    """Facts of a data set that a model may know before it sees a batch; counts are of train rows only."""

    num_users: int
    num_items: int
    behaviors: tuple[str, ...]  # column order of the sets; the name of behavior k
    auxiliary: int  # the column of the auxiliary behavior (click, read)
    behavior_counts_K: NDArray[np.int64]  # rows with behavior k
    pair_counts_KK: NDArray[np.int64]  # rows with both behaviors; the diagonal is behavior_counts_K

    @property
    def num_behaviors(self) -> int:
        """Number of behaviors, K."""
        return len(self.behaviors)


@dataclass(frozen=True)
class Interactions:
    """Table of interactions under the ids of the data's owner.

    The rows of one user stand in time order; the rows of different users may be interleaved.
    """

    users_N: Ids  # int64
    items_N: Ids  # int64
    sets_NK: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.users_N)

    @property
    def nonempty_N(self) -> NDArray[np.bool_]:
        """Mask of the rows that have at least one behavior."""
        return np.asarray(self.sets_NK.any(axis=1))

    def rows(self, index_N: NDArray[Any]) -> Self:
        """Return the table of the given rows, by position or by mask."""
        return type(self)(self.users_N[index_N], self.items_N[index_N], self.sets_NK[index_N])
