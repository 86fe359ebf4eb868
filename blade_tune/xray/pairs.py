"""Pairs of an earlier and a later row of one user, and sparse matrices of the pairs' weights.

Of shapes, P is an axis of pairs, and X one of the places of a sparse matrix that have a value.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from blade_tune.catalog import Ids
from blade_tune.xray.task import Task

PairWeights = NDArray[np.float64]


@dataclass(frozen=True)
class Pairs:
    """All pairs of a row and a later row of the same user, up to the distance that a task allows."""

    laters_P: Ids  # position of the later row
    distances_P: Ids  # rows from the earlier one to the later one

    @classmethod
    def of(cls, task: Task) -> "Pairs":
        """Return the pairs of a task's rows, the nearest first."""
        users_N = task.rows.users_N
        none = np.empty(0, np.int64)
        laters = [none]
        distances = [none]
        for distance in range(1, task.reach + 1):
            is_pair_N = users_N[distance:] == users_N[:-distance]
            laters_X = distance + np.flatnonzero(is_pair_N)
            laters.append(laters_X)
            distances.append(np.full(len(laters_X), distance))
        return cls(np.concatenate(laters), np.concatenate(distances))

    @property
    def earlier_P(self) -> Ids:
        """Position of the earlier row of each pair."""
        return self.laters_P - self.distances_P

    def faded(self, half_life: float) -> PairWeights:
        """Return weights_P that fall with distance: 2^(-(distance - 1) / half_life)."""
        farthest = int(self.distances_P.max(initial=0))
        by_distance = fading(np.arange(-1, farthest), half_life)
        return by_distance[self.distances_P]

    def split(self, weights_P: PairWeights) -> PairWeights:
        """Return weights divided by the sum of all with the same later row, so that each later row counts once."""
        sums_N = np.bincount(self.laters_P, weights=weights_P)
        return weights_P / sums_N[self.laters_P]


@dataclass(frozen=True)
class Cells:
    """Structure of a sparse matrix whose cells sum weights of pairs, and the cell into which each pair falls.

    The structure is found once; matrices of other weights then need no sorting.
    """

    columns_X: Ids
    starts: Ids  # where the cells of each row begin
    shape: tuple[int, int]
    places: tuple[Ids, ...]  # places_P, the cell of each pair, for each kind of pairs

    @classmethod
    def of(cls, shape: tuple[int, int], *pairs: tuple[Ids, Ids]) -> "Cells":
        """Return the cells of one or more kinds of pairs, each given as rows_P and columns_P of the matrix."""
        # Number the places of the matrix, row after row, and sort all pairs by them.
        keys = np.concatenate([rows_P * shape[1] + columns_P for rows_P, columns_P in pairs])
        order = np.argsort(keys, kind="stable")
        sorted_keys = keys[order]

        # A cell begins where the place changes; a pair falls into the latest one.
        is_first = np.diff(sorted_keys, prepend=-1) > 0
        places = np.empty(len(keys), np.int64)
        places[order] = np.cumsum(is_first) - 1

        # Find the row and the column of each cell.
        rows_X, columns_X = np.divmod(sorted_keys[is_first], shape[1])
        starts = np.searchsorted(rows_X, np.arange(shape[0] + 1))
        return cls(columns_X, starts, shape, tuple(np.split(places, len(pairs))))

    def sums(self, kind: int, weights_P: PairWeights) -> PairWeights:
        """Return sums_X, the sum of the weights of one kind of pairs in each cell."""
        sums_X = np.bincount(self.places[kind], weights_P, len(self.columns_X))
        return sums_X.astype(np.float64, copy=False)

    def matrix(self, values_X: PairWeights) -> Any:
        """Return the CSR matrix with the given values in its cells."""
        return csr_array((values_X, self.columns_X, self.starts), shape=self.shape)


def fading(ages_N: Ids, half_life: float) -> PairWeights:
    """Return weights that halve every `half_life` steps of age: 2^(-age / half_life)."""
    return np.asarray(0.5 ** (ages_N / half_life))
