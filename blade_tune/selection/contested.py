"""Ranks of users' items under weighted sums of models, from the few items on whose place the models disagree.

An item that every model puts before a user's own item stands before it in every sum, and one that none does in no sum.
Only the others, the contested ones, have to be kept, and only of users whose item may still be ranked before the
metric's cutoff. Nor is an item needed that so many others exceed in every model that the user's own is beyond the
cutoff wherever that item is before it. Nothing is approximated by that, but for the rounding of sums.

Shapes stand in names: C models, B users of a block, U evaluated users, X of them whose item may be found, V items,
M contested items of one user, N those of all users.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer[Any]]

# Number of a user's contested items that all others are compared with, to see which are not needed
PIVOTS = 128


@dataclass(frozen=True)
class ScoredUsers:
    """What models say of all items for a block of users, made comparable between the models."""

    scores_CBV: NDArray[np.float32]  # the column of item v is v - 1
    targets_B: Ints  # number of each user's own item, from 1
    excluded_BX: Ints  # numbers of items that are not ranked, padded with 0


@dataclass(frozen=True)
class Contested:
    """The items on whose place models disagree, of the users whose own item may be found before the cutoff."""

    num_users: int  # U, all evaluated users
    cutoff: int
    users_X: NDArray[np.intp]  # places of the others among all users
    always_X: NDArray[np.intp]  # number of items that every model puts before the user's own
    owners_N: NDArray[np.intp]  # the item's user, as a place in `users_X`, ascending
    margins_CN: NDArray[np.float32]  # the item's score minus that of the user's own item
    is_lower_N: NDArray[
        np.bool_
    ]  # whether the item has a smaller number than the user's own, and so wins a tie

    @classmethod
    def of(cls, blocks: Iterable[ScoredUsers], cutoff: int) -> "Contested":
        """Collect the contested items of all users, a block of users at a time.

        Args:
            blocks: at least one, in the order of users.
            cutoff: the rank, from 0, from which on a user's item counts as not found.
        """
        parts: list[Contested] = []
        num_users = 0
        for block in blocks:
            parts.append(_contested(block, cutoff, num_users))
            num_users += len(block.targets_B)
        sizes = [len(part.users_X) for part in parts]
        firsts = np.cumsum(sizes) - sizes
        owners = [first + part.owners_N for first, part in zip(firsts, parts, strict=True)]
        return cls(
            num_users=num_users,
            cutoff=cutoff,
            users_X=np.concatenate([part.users_X for part in parts]),
            always_X=np.concatenate([part.always_X for part in parts]),
            owners_N=np.concatenate(owners),
            margins_CN=np.concatenate([part.margins_CN for part in parts], axis=1),
            is_lower_N=np.concatenate([part.is_lower_N for part in parts]),
        )

    @property
    def num_models(self) -> int:
        """Number of models, C."""
        return len(self.margins_CN)

    def ranks(self, weights: Sequence[float]) -> NDArray[np.uint8]:
        """Return ranks_X under a weighted sum of the models, from 0; the cutoff stands for all ranks from it on.

        Args:
            weights: of each model, at least 0, and not all 0.
        """
        sums_N = np.zeros(len(self.owners_N), dtype=np.float32)
        for margins_N, weight in zip(self.margins_CN, weights, strict=True):
            if weight:
                sums_N += np.float32(weight) * margins_N
        is_before_N = (sums_N > 0) | ((sums_N == 0) & self.is_lower_N)
        before_X = np.bincount(self.owners_N[is_before_N], minlength=len(self.users_X))
        return np.minimum(self.always_X + before_X, self.cutoff).astype(np.uint8)


def _contested(block: ScoredUsers, cutoff: int, first_user: int) -> Contested:
    """Return the contested items of one block of users.

    Args:
        block: the block.
        cutoff: the rank from which on an item counts as not found.
        first_user: place of the block's first user among all users.
    """
    scores_CBV = block.scores_CBV
    _, num_users, num_items = scores_CBV.shape
    rows_B = np.arange(num_users)
    columns_B = block.targets_B - 1
    targets_CB = scores_CBV[:, rows_B, columns_B]
    is_lower_BV = np.arange(num_items) < columns_B[:, None]

    # Whether every model, and whether any, puts an item before the user's own
    is_always_BV = np.ones((num_users, num_items), dtype=bool)
    is_ever_BV = np.zeros((num_users, num_items), dtype=bool)
    for scores_BV, targets_B in zip(scores_CBV, targets_CB, strict=True):
        is_before_BV = scores_BV == targets_B[:, None]
        is_before_BV &= is_lower_BV
        is_before_BV |= scores_BV > targets_B[:, None]
        is_always_BV &= is_before_BV
        is_ever_BV |= is_before_BV

    # Excluded items stand nowhere; a user whose own item is excluded cannot be hit
    is_excluded_BX = np.zeros((num_users, num_items + 1), dtype=bool)
    np.put_along_axis(is_excluded_BX, block.excluded_BX, values=True, axis=1)
    is_excluded_BV = is_excluded_BX[:, 1:]
    is_always_BV &= ~is_excluded_BV
    is_ever_BV &= ~is_excluded_BV

    # The contested items of the users who may be hit
    always_B = is_always_BV.sum(axis=1)
    found_X = np.flatnonzero((always_B < cutoff) & ~is_excluded_BV[rows_B, columns_B])
    owners, margins, is_lower = [], [], []
    for owner, user in enumerate(found_X):
        columns_M = np.flatnonzero(is_ever_BV[user] & ~is_always_BV[user])
        margins_CM = scores_CBV[:, user, columns_M] - targets_CB[:, user, None]
        needed_M = _needed(margins_CM, is_lower_BV[user, columns_M], cutoff - int(always_B[user]))
        owners.append(np.full(len(needed_M), owner))
        margins.append(margins_CM[:, needed_M])
        is_lower.append(is_lower_BV[user, columns_M[needed_M]])
    nothing_C0 = np.empty((len(scores_CBV), 0), dtype=np.float32)
    return Contested(
        num_users=num_users,
        cutoff=cutoff,
        users_X=first_user + found_X,
        always_X=always_B[found_X],
        owners_N=np.concatenate([np.empty(0, dtype=np.intp), *owners]),
        margins_CN=np.concatenate([nothing_C0, *margins], axis=1),
        is_lower_N=np.concatenate([np.empty(0, dtype=bool), *is_lower]),
    )


def _needed(
    margins_CM: NDArray[np.float32], is_lower_M: NDArray[np.bool_], most: int
) -> NDArray[np.intp]:
    """Return the places of those of a user's contested items that can be among the first `most` before the user's own.

    An item is left out if `most` others are at least as high in every model and win a tie where it does: whenever it is
    before the user's own item, so are they. Most such items are exceeded by those with the highest mean, so it is
    compared with these only.
    """
    order_M = np.argsort(-margins_CM.mean(axis=0), kind="stable")
    margins_CM, is_lower_M = margins_CM[:, order_M], is_lower_M[order_M]
    num_above_M = np.zeros(len(order_M), dtype=np.int64)
    # An item counts for later ones only, so that of equal ones none is left out for another that is left out for it.
    for pivot in range(min(PIVOTS, len(order_M))):
        is_below_M = (margins_CM[:, pivot + 1 :] <= margins_CM[:, pivot, None]).all(axis=0)
        if not is_lower_M[pivot]:
            is_below_M &= ~is_lower_M[pivot + 1 :]
        num_above_M[pivot + 1 :] += is_below_M
    return order_M[num_above_M < most]
