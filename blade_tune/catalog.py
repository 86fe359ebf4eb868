"""What is known of a data set without torch: tables of interactions, and the catalog of items and behaviors.

The suffix of an array's name is its shape, see batch.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from blade_tune.choices import TargetSet

Ids = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Catalog:
    """Facts of a data set that a model may know before it sees a batch; counts are of train rows only."""

    num_users: int
    num_items: int
    behaviors: tuple[str, ...]  # column order of the sets; the name of behavior k
    # Columns of the auxiliary behaviors (click, read), ascending; empty where every behavior is a target
    auxiliary: tuple[int, ...]
    behavior_counts_K: NDArray[np.int64]  # rows with behavior k
    pair_counts_KK: NDArray[np.int64]  # rows with both behaviors; the diagonal is behavior_counts_K
    # The most frequent set with a target behavior; None in a bundle of an earlier version
    mode_set_K: NDArray[np.uint8] | None = None

    @property
    def num_behaviors(self) -> int:
        """Number of behaviors, K."""
        return len(self.behaviors)

    def told_set(self, target_set: TargetSet) -> NDArray[np.uint8] | None:
        """Return set_K, the behavior set that a protocol tells of every item to predict; None for each item's own.

        Raises:
            ValueError: the protocol is `mode`, and the catalog does not know the most frequent set.
        """
        if target_set == "truth":
            return None
        if target_set == "constant":
            set_K = np.ones(self.num_behaviors, np.uint8)
            set_K[list(self.auxiliary)] = 0
            return set_K
        if self.mode_set_K is None:
            raise ValueError("The most frequent target set is not known of this data.")
        return self.mode_set_K

    def names_of(self, set_K: NDArray[np.uint8]) -> tuple[str, ...]:
        """Return the names of the behaviors in a set."""
        return tuple(name for name, is_in in zip(self.behaviors, set_K, strict=True) if is_in)


def has_target(sets_NK: NDArray[np.uint8], auxiliary: Sequence[int]) -> NDArray[np.bool_]:
    """Return the mask of the sets with a target behavior, which is any whose column is not among the auxiliary ones."""
    targets = np.delete(sets_NK, auxiliary, axis=1) if auxiliary else sets_NK
    return np.asarray(targets.any(axis=1))


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
