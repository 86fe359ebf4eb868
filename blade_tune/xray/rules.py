"""Recommender of rules between items, which are counts of what followed what in users' histories.

It needs no training, so the x-ray can compare many variants (`RuleRecipe`) in seconds.
"""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from blade_tune.catalog import Catalog, Ids, has_target
from blade_tune.xray.pairs import Cells, Pairs, PairWeights, fading
from blade_tune.xray.task import SEED, Task

ItemScores = NDArray[np.float32]

SCORES_AT_ONCE = 2**22  # bounds memory
FAINT = 1e-6  # weight of popularity, which only orders items that rules score equally


@dataclass(frozen=True)
class Counting:
    """Settings of how pairs of rows are counted and how steps of a history are weighed."""

    # Steps after which a step counts half as much; infinite: all count the same
    half_life: float
    # 0: pairs have none; 1: only later items follow from earlier ones
    direction: float
    # Whether a row counts once, shared by all rows before it, instead of once for each of them
    is_split: bool
    # Weight added to the pairs of each item, which shrinks the rules of rare items
    shrinkage: float
    # Whether only rows with a target behavior can come next
    targets_only: bool
    # Whether items keep the weight they have late in histories at any direction
    follows_drift: bool = False


@dataclass(frozen=True)
class RuleRecipe:
    """Settings of a recommender: what it uses, and how strongly."""

    counting: Counting
    # Rows by which rules under a set shrink to those of items; None: no sets
    set_strength: float | None = None
    # Weight of a step without a target behavior
    auxiliary_weight: float = 1.0
    # Rows by which lifts of the told set shrink to 1; None: told no set
    told_strength: float | None = None
    # Weight of rules from an item to itself; None: there are no such rules
    repeat_weight: float | None = None


class Rules:
    """Rules between items, counted on the rows of a task, and the users' scores by them.

    A pair of a row and a later one weighs 2^(-(distance - 1) / half_life), divided by the sum of all with that later
    row if the counting is split. With F_ij the sum for i and a later j, and B_ij that for i and an earlier j,

        C = F + b B,  b = (1 - direction) / (1 + direction),
        score_uj = sum over steps s of u of w_s C_ij / (C_i. + shrinkage),  i the item of s, w_s = 2^(-age / half_life).

    Equal scores are ordered by popularity. `_by_set`, `_lifts` and `_drifted` describe what recipes may add.

    Args:
        task: the rows to count, and the users to score items for.
        catalog: catalog of the data set.
    """

    def __init__(self, task: Task, catalog: Catalog) -> None:
        self.task = task
        self._catalog = catalog
        self._items_N = task.rows.items_N.astype(np.int64)
        self._codes_N = self._codes(task.rows.sets_NK)
        self._is_target_N = self._has_target(task.rows.sets_NK)
        self._seems_target_N = self._is_target_N  # by sets that may be shuffled
        self._counted = lru_cache(maxsize=1)(self._count)

    def with_shuffled_sets(self) -> "Rules":
        """Return these rules with sets permuted over all rows, the control of recipes that see sets."""
        shuffled = copy(self)
        sets_NK = np.random.default_rng([SEED, 4]).permutation(self.task.rows.sets_NK)
        shuffled._codes_N = self._codes(sets_NK)
        shuffled._seems_target_N = self._has_target(sets_NK)
        shuffled.__dict__.pop("_cells_by_set", None)
        return shuffled

    def _codes(self, sets_NK: NDArray[np.uint8]) -> Ids:
        """Return the rank of the rarest behavior of each set, 0 for the most frequent behavior."""
        order_K = np.argsort(-self._catalog.behavior_counts_K, kind="stable")
        ranks_K = np.argsort(order_K)
        return np.asarray((sets_NK * ranks_K).max(axis=1, initial=0), np.int64)

    def _has_target(self, sets_NK: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return has_target(sets_NK, self._catalog.auxiliary)

    @cached_property
    def _pairs(self) -> Pairs:
        return Pairs.of(self.task)

    @cached_property
    def _cells(self) -> Cells:
        """Cells of items by items: kind 0 for pairs from earlier to later items, kind 1 for pairs back."""
        V = self.task.num_items + 1
        earlier_P = self._items_N[self._pairs.earlier_P]
        later_P = self._items_N[self._pairs.laters_P]
        return Cells.of((V, V), (earlier_P, later_P), (later_P, earlier_P))

    @cached_property
    def _cells_by_set(self) -> Cells:
        """Cells of (set, item) by item, for pairs from earlier to later items."""
        V = self.task.num_items + 1
        rows_N = self._codes_N * V + self._items_N
        earlier_P = rows_N[self._pairs.earlier_P]
        later_P = self._items_N[self._pairs.laters_P]
        return Cells.of((self._catalog.num_behaviors * V, V), (earlier_P, later_P))

    def popularity(self, *, targets_only: bool) -> PairWeights:
        """Return share_V, each item's share of all rows or of those with a target behavior."""
        items_N = self._items_N[self._is_target_N] if targets_only else self._items_N
        counts_V = np.bincount(items_N, minlength=self.task.num_items + 1)
        return counts_V / max(1, len(items_N))

    def _count(self, counting: Counting) -> tuple[PairWeights, Any]:
        """Return onwards_P, the weight of each pair from earlier to later, and C as a CSR matrix."""
        # Weigh the pairs, which lead to later rows and back.
        weights_P = self._pairs.faded(counting.half_life)
        if counting.is_split:
            weights_P = self._pairs.split(weights_P)
        onwards_P = weights_P
        back_P = weights_P
        if counting.targets_only:
            onwards_P = weights_P * self._is_target_N[self._pairs.laters_P]
            back_P = weights_P * self._is_target_N[self._pairs.earlier_P]

        # Sum them by items, C = F + b B.
        onwards_X = self._cells.sums(0, onwards_P)
        counts_X = onwards_X
        back = (1 - counting.direction) / (1 + counting.direction)
        if back:
            counts_X = onwards_X + back * self._cells.sums(1, back_P)
        if counting.follows_drift:
            counts_X = self._drifted(counts_X, onwards_X, counting.shrinkage)
        return onwards_P, self._cells.matrix(counts_X)

    def _drifted(
        self, counts_X: PairWeights, onwards_X: PairWeights, shrinkage: float
    ) -> PairWeights:
        """Return C with columns rescaled so that items which come late in histories weigh as much as in F.

        C_ij becomes C_ij (F_.j + shrinkage F_.. / C_..) / (C_.j + shrinkage).
        """
        V = self.task.num_items + 1
        columns_X = self._cells.columns_X
        onwards_V = np.bincount(columns_X, onwards_X, minlength=V)  # F_.j
        all_V = np.bincount(columns_X, counts_X, minlength=V)  # C_.j
        share = onwards_V.sum() / max(all_V.sum(), 1.0)  # F_.. / C_..
        scale_V = (onwards_V + shrinkage * share) / (all_V + shrinkage)
        return counts_X * scale_V[columns_X]

    def scores(self, recipe: RuleRecipe) -> Iterator[ItemScores]:
        """Yield scores_BV of successive users of the task; callers may change the arrays."""
        onwards_P, counts = self._counted(recipe.counting)
        totals_V = np.asarray(counts.sum(axis=1))  # C_i.

        # Weigh the steps of all windows.
        _, places_X, ages_X = self.task.steps
        weights_X = fading(ages_X, recipe.counting.half_life)
        weights_X *= np.where(self._seems_target_N[places_X], 1.0, recipe.auxiliary_weight)

        # Pair histories with the rules that they are multiplied with: under sets, and of items alone.
        products = []
        if recipe.set_strength is not None:
            by_set = self._cells_by_set.matrix(self._cells_by_set.sums(0, onwards_P))
            strength = recipe.set_strength * onwards_P.sum() / max(1, len(self._items_N))
            columns_X, own_X, weights_X = self._by_set(by_set, totals_V, weights_X, strength)
            histories = self._histories(columns_X, own_X, by_set.shape[0])
            products.append((histories, _shares(by_set, totals_V, recipe)))
        histories = self._histories(self._items_N[places_X], weights_X, len(totals_V))
        products.append((histories, _shares(counts, totals_V, recipe)))

        # Popularity orders items of equal scores, and lifts say what goes with the told set.
        popularity_V = self.popularity(targets_only=recipe.counting.targets_only)
        faint_V = (FAINT * popularity_V).astype(np.float32)
        lifts_KV = None if recipe.told_strength is None else self._lifts(recipe.told_strength)
        codes_U = self._codes(self.task.sets_UK)

        size = max(1, SCORES_AT_ONCE // len(totals_V))
        for first in range(0, len(self.task), size):
            block = slice(first, first + size)
            parts = [(histories[block] @ rules).toarray() for histories, rules in products]
            scores_BV: ItemScores = sum(parts)
            scores_BV += faint_V
            if lifts_KV is not None:
                scores_BV = scores_BV * lifts_KV[codes_U[block]]
            yield scores_BV

    def _histories(self, columns_X: Ids, weights_X: PairWeights, width: int) -> Any:
        """Return the windows of all users as a CSR matrix, which has the weight of each step in a given column."""
        users_X, _, _ = self.task.steps
        places = (users_X, columns_X)
        return csr_array((weights_X.astype(np.float32), places), shape=(len(self.task), width))

    def _by_set(
        self, by_set: Any, totals_V: PairWeights, weights_X: PairWeights, strength: float
    ) -> tuple[Ids, PairWeights, PairWeights]:
        """Divide the weight of each step between rules under its set and rules of items alone.

        With n_r the weight of the pairs of i under the rarest behavior r of its step, and F_r those pairs,
        C_i. (F_rij + strength C_ij / C_i.) / (n_r + strength) takes the place of C_ij.

        Returns:
            For each step: its row in `by_set`, its weight there, and its weight in the rules of items alone.
        """
        _, places_X, _ = self.task.steps
        items_X = self._items_N[places_X]
        columns_X = self._codes_N[places_X] * len(totals_V) + items_X
        sums_X = np.asarray(by_set.sum(axis=1))[columns_X]  # n_r
        shares_X = weights_X / (sums_X + strength)
        return columns_X, shares_X * totals_V[items_X], shares_X * strength

    def _lifts(self, strength: float) -> ItemScores:
        """Return lift_KV = (n_kj + strength p_k) / (n_j + strength) / p_k, by which scores are multiplied.

        Here n_kj counts target rows of item j by their rarest behavior k, and p_k is the share of k. A user's scores
        are multiplied by the row of the told set.
        """
        items_N = self._items_N[self._is_target_N]
        codes_N = self._codes_N[self._is_target_N]
        counts_KV = np.zeros((self._catalog.num_behaviors, self.task.num_items + 1))
        np.add.at(counts_KV, (codes_N, items_N), 1)
        share_K1 = np.maximum(counts_KV.sum(axis=1, keepdims=True), 1.0) / max(1, len(items_N))
        shrunk_KV = (counts_KV + strength * share_K1) / (counts_KV.sum(axis=0) + strength)
        return np.asarray(shrunk_KV / share_K1, np.float32)


def _shares(counts: Any, totals_V: PairWeights, recipe: RuleRecipe) -> Any:
    """Return counts divided by the shrunk totals of their items; those of an item with itself get `repeat_weight`."""
    items_X = np.repeat(np.arange(counts.shape[0]) % len(totals_V), np.diff(counts.indptr))
    weights_X = np.where(items_X == counts.indices, recipe.repeat_weight or 0.0, 1.0)
    shares_X = weights_X * counts.data / (totals_V[items_X] + recipe.counting.shrinkage)
    parts = (shares_X.astype(np.float32), counts.indices, counts.indptr)
    return csr_array(parts, shape=counts.shape)
