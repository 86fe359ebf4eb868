"""Ranks of users' items under weighted sums of models, from the few items on whose place the models disagree.

An item that every model puts before a user's own item stands before it in every sum, and one that none does in no sum.
Only the others, the contested ones, have to be kept, and only of users whose item may still be ranked before the
metric's cutoff. Nothing is approximated by that, but for the rounding of sums.

Shapes stand in names: C models, B users of a block, U evaluated users, X of them whose item may be found, V items,
N contested pairs of a user and an item.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Block:
    """What models say of all items for some users, made comparable between the models."""

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
    owners_N: NDArray[np.intp]  # place in `users_X` of the user of a pair
    is_lower_N: NDArray[
        np.bool_
    ]  # whether the item has a smaller number than the user's own, and so wins a tie
    scores_CN: NDArray[np.float32]
    targets_CX: NDArray[np.float32]  # score of the user's own item

    @classmethod
    def of(cls, blocks: Iterable[Block], cutoff: int) -> "Contested":
        """Collect the contested items of all users, a block of users at a time.

        Args:
            blocks: at least one, in the order of users.
            cutoff: the rank, from 0, from which on a user's item counts as not found.
        """
        num_users = 0
        parts = []
        num_found = 0
        for block in blocks:
            part = _contested(block, cutoff, num_users, num_found)
            num_users += len(block.targets_B)
            num_found += len(part.users_X)
            parts.append(part)
        return cls(
            num_users=num_users,
            cutoff=cutoff,
            users_X=np.concatenate([part.users_X for part in parts]),
            always_X=np.concatenate([part.always_X for part in parts]),
            owners_N=np.concatenate([part.owners_N for part in parts]),
            is_lower_N=np.concatenate([part.is_lower_N for part in parts]),
            scores_CN=np.concatenate([part.scores_CN for part in parts], axis=1),
            targets_CX=np.concatenate([part.targets_CX for part in parts], axis=1),
        )

    @property
    def num_models(self) -> int:
        """Number of models, C."""
        return len(self.scores_CN)

    def ranks(self, weights: Sequence[float]) -> NDArray[np.uint8]:
        """Return ranks_X under a weighted sum of the models, from 0; the cutoff stands for all ranks from it on.

        Args:
            weights: of each model, at least 0, and not all 0.
        """
        sums_N = np.zeros(self.scores_CN.shape[1])
        targets_X = np.zeros(len(self.users_X))
        for model, weight in enumerate(weights):
            if weight:
                sums_N += weight * self.scores_CN[model].astype(np.float64)
                targets_X += weight * self.targets_CX[model].astype(np.float64)
        targets_N = targets_X[self.owners_N]
        is_before_N = (sums_N > targets_N) | ((sums_N == targets_N) & self.is_lower_N)
        before_X = np.bincount(self.owners_N[is_before_N], minlength=len(self.users_X))
        return np.minimum(self.always_X + before_X, self.cutoff).astype(np.uint8)


def _contested(block: Block, cutoff: int, first_user: int, first_owner: int) -> Contested:
    """Return the contested items of one block of users.

    Args:
        block: the block.
        cutoff: the rank from which on an item counts as not found.
        first_user: place of the block's first user among all users.
        first_owner: number of users before the block whose item may be found.
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

    always_B = is_always_BV.sum(axis=1)
    found_X = np.flatnonzero((always_B < cutoff) & ~is_excluded_BV[rows_B, columns_B])
    owners_N, columns_N = np.nonzero(is_ever_BV[found_X] & ~is_always_BV[found_X])
    return Contested(
        num_users=num_users,
        cutoff=cutoff,
        users_X=first_user + found_X,
        always_X=always_B[found_X],
        owners_N=first_owner + owners_N,
        is_lower_N=is_lower_BV[found_X[owners_N], columns_N],
        scores_CN=scores_CBV[:, found_X[owners_N], columns_N],
        targets_CX=targets_CB[:, found_X],
    )
