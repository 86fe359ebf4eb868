"""Pairs of rows of one user, and matrices of their weights."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from blade_tune.batch import Ids
from blade_tune.xray.task import Task

PairWeights = NDArray[np.float64]


@dataclass(frozen=True)
class Pairs:
    """All pairs of a row and a later one of its user, as far apart as a task has them."""

    laters_P: Ids  # the place of the later row
    distances_P: Ids

    @classmethod
    def of(cls, task: Task) -> "Pairs":
        """Those of a task, the nearest first."""
        users_N = task.rows.users_N
        laters, distances = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for distance in range(1, task.reach + 1):
            places_X = distance + np.flatnonzero(users_N[distance:] == users_N[:-distance])
            laters.append(places_X)
            distances.append(np.full(len(places_X), distance))
        return cls(np.concatenate(laters), np.concatenate(distances))

    @property
    def earlier_P(self) -> Ids:
        """The place of the earlier row."""
        return self.laters_P - self.distances_P

    def faded(self, half_life: float) -> PairWeights:
        """weights_P: 2^(-(distance - 1) / half_life)."""
        by_distance = fading(np.arange(-1, int(self.distances_P.max(initial=0))), half_life)
        return by_distance[self.distances_P]

    def split(self, weights_P: PairWeights) -> PairWeights:
        """The weights, over the sums of all with the same later row."""
        sums_N = np.bincount(self.laters_P, weights=weights_P)
        return weights_P / sums_N[self.laters_P]


@dataclass(frozen=True)
class Cells:
    """The places of a sparse matrix that pairs fall into, and where each pair falls."""

    columns_X: Ids
    starts: Ids  # where the places of each row begin
    shape: tuple[int, int]
    places: tuple[Ids, ...]  # places_P of each kind of pairs

    @classmethod
    def of(cls, shape: tuple[int, int], *pairs: tuple[Ids, Ids]) -> "Cells":
        """For pairs given as rows and columns of the matrix."""
        keys = np.concatenate([rows_P * shape[1] + columns_P for rows_P, columns_P in pairs])
        order = np.argsort(keys, kind="stable")
        sorted_keys = keys[order]
        is_first = np.diff(sorted_keys, prepend=-1) > 0
        places = np.empty(len(keys), np.int64)
        places[order] = np.cumsum(is_first) - 1
        rows_X, columns_X = np.divmod(sorted_keys[is_first], shape[1])
        starts = np.searchsorted(rows_X, np.arange(shape[0] + 1))
        return cls(columns_X, starts, shape, tuple(np.split(places, len(pairs))))

    def sums(self, kind: int, weights_P: PairWeights) -> PairWeights:
        """sums_X of the pairs' weights at each place."""
        return np.bincount(self.places[kind], weights_P, len(self.columns_X)).astype(np.float64, copy=False)

    def matrix(self, values_X: PairWeights) -> Any:
        """The CSR matrix with the given values at its places."""
        return csr_array((values_X, self.columns_X, self.starts), shape=self.shape)


def fading(ages_N: Ids, half_life: float) -> PairWeights:
    """2^(-age / half_life)."""
    return np.asarray(0.5 ** (ages_N / half_life))
