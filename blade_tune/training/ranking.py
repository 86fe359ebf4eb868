"""Full ranking: the rank of one target item per user among all items, computed in blocks that fit a CPU's cache.

Only the number of items before each target is needed, so no list of items is ever sorted and the scores of all users
and items are never in memory at once. Ties are broken by the item's number, which makes ranks reproducible. For that,
equal items must get exactly equal scores; the sizes of blocks below are chosen so that they do.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from blade_tune.errors import NonFiniteError
from blade_tune.metrics import UNREACHABLE

USERS_AT_ONCE = 128
# Items of a run; no power of two, since rows of such a length would fall into the same lines of the cache
ITEMS_AT_ONCE = 5200
# Items of the longest run, for large catalogs and few users
MOST_ITEMS_AT_ONCE = 8 * ITEMS_AT_ONCE
# Scores of a block where they are no products, 16 MiB; docs/performance.md has the measurement
SCORES_AT_ONCE = 2**22
# In products of multiples of so many items, equal vectors get equal scores; in others, MKL rounds unequally
WIDTH = 16

NOT_FINITE = "a score is NaN or infinite, so nothing can be ranked."


@dataclass(frozen=True)
class Block:
    """A block of users whose targets all lie in one run of consecutive items, the block's home run."""

    rows_B: Tensor  # the users, in ascending order of their targets
    home: int  # number of the home run
    lowest: int  # the lowest and the highest target of these users
    highest: int


class Ranking:
    """A function that returns the rank of each user's target item among all items, counted from 0.

    The rank is the number of items before the target: those with a higher score, and those with an equal score and a
    smaller number. Scores are float32 products of a user's state with the vectors of items; item 0 is padding and never
    ranked. Equal vectors get equal scores: all matrix products of a block have one shape, and a target's score is read
    from the product of its own run of items.

    Args:
        targets_U: the target item of each user, from 1.
        num_items: V, the number of items.
    """

    def __init__(self, targets_U: Tensor, num_items: int) -> None:
        self.targets_U = targets_U
        self.num_items = num_items

        # Choose the length of a run. There are no more runs than full blocks of users, or blocks would be small.
        most_runs = max(1, len(targets_U) // USERS_AT_ONCE)
        fewest = math.ceil(num_items / most_runs)
        at_once = min(num_items, max(ITEMS_AT_ONCE, min(fewest, MOST_ITEMS_AT_ONCE)))
        self.run = math.ceil(at_once / WIDTH) * WIDTH

        # Split the users at home in each run into blocks.
        sizes = torch.bincount((targets_U - 1) // self.run).tolist()
        self.blocks = []
        for home, rows_N in enumerate(targets_U.argsort().split(sizes)):
            if not len(rows_N):
                continue
            for rows_B in rows_N.split(USERS_AT_ONCE):
                lowest, highest = targets_U[rows_B[[0, -1]]].tolist()
                self.blocks.append(Block(rows_B, home, lowest, highest))

    def __call__(
        self, states_UD: Tensor, vectors_VD: Tensor, excluded: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Return ranks_U, in the order of the targets, for scores that are products of states and item vectors.

        Args:
            states_UD: the state of each user.
            vectors_VD: the vector of each item; row 0 is padding.
            excluded: a function that returns, for the users rows_B, the items_BX that are not ranked for them, padded
                with 0. A target among them cannot be found, and its rank is UNREACHABLE.

        Raises:
            NonFiniteError: a state or a vector is NaN, infinite, or so large that a score may be infinite.
        """
        # Vectors come to the states' device; those of some models (popularity) are on the CPU in any case.
        states_UD = states_UD.float()
        vectors_VD = vectors_VD[1:].to(states_UD)

        # By Cauchy and Schwarz no score exceeds the product of the largest norms.
        largest = states_UD.norm(dim=1).max() * vectors_VD.norm(dim=1).max()
        if not torch.isfinite(largest):
            raise NonFiniteError(NOT_FINITE)

        # Pad the last run to the length of the others, so that its products have the same shape.
        runs = list(vectors_VD.split(self.run))
        runs[-1] = pad(runs[-1], (0, 0, 0, self.run - len(runs[-1])))

        # Rank block after block, in one buffer for scores, with a column on either side for items of other runs.
        framed_BX = states_UD.new_empty(USERS_AT_ONCE, self.run + 2)
        ranks_U = torch.empty_like(self.targets_U)
        for block in self.blocks:
            rows_B = block.rows_B
            excluded_BX = excluded(rows_B)
            targets_B1 = self.targets_U[rows_B][:, None]
            before_B = self._before(
                block,
                states_UD[rows_B],
                runs,
                targets_B1,
                excluded_BX,
                framed_BX[: len(rows_B)],
            )
            is_excluded_B = (excluded_BX == targets_B1).any(dim=1)
            ranks_U[rows_B] = torch.where(is_excluded_B, UNREACHABLE, before_B.long())
        return ranks_U

    def _before(
        self,
        block: Block,
        states_BD: Tensor,
        runs: list[Tensor],
        targets_B1: Tensor,
        excluded_BX: Tensor,
        framed_BX: Tensor,
    ) -> Tensor:
        """Return the number of items before each target of one block of users.

        Args:
            block: the block of users.
            states_BD: their states.
            runs: the vectors of each run of items.
            targets_B1: their targets.
            excluded_BX: their items that are not ranked.
            framed_BX: a buffer for the scores of one run, with a column more on either side.
        """
        before_B = states_BD.new_zeros(len(states_BD), dtype=torch.float64)
        target_scores_B1 = states_BD[:, :1]
        # The home run comes first, since it has the targets, whose scores are compared with all others.
        for run in sorted(range(len(runs)), key=lambda run: run != block.home):
            torch.mm(states_BD, runs[run].T, out=framed_BX[:, 1:-1])
            first = 1 + run * self.run
            width = min(self.run, self.num_items + 1 - first)
            scores_BX = framed_BX[:, 1 : width + 1]
            if run == block.home:
                target_scores_B1 = scores_BX.gather(1, targets_B1 - first)

            # Excluded items get the lowest score. Those of other runs are clamped to the columns at either side.
            columns_BX = (excluded_BX - (first - 1)).clamp(0, width + 1)
            framed_BX.scatter_(1, columns_BX, -torch.inf)

            # A tie counts if the item's number is smaller than the target's. Left of the lowest target of the block it
            # does for all users, right of the highest for none, and only between the two each user has to be looked at.
            # Scores are overwritten with 1 for each item that stands before the target, and 0 for the others.
            low = min(max(block.lowest - first, 0), width)
            high = min(max(block.highest + 1 - first, 0), width)
            items_X = torch.arange(first + low, first + high, device=states_BD.device)
            mixed_BX = scores_BX[:, low:high]
            is_tie_BX = (mixed_BX == target_scores_B1) & (items_X < targets_B1)
            mixed_BX.copy_((mixed_BX > target_scores_B1) | is_tie_BX)
            scores_BX[:, :low].ge_(target_scores_B1)
            scores_BX[:, high:].gt_(target_scores_B1)
            before_B += scores_BX.sum(dim=1)
        return before_B

    def of_scores(
        self, scores: Callable[[Tensor], Tensor], excluded: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Return ranks_U, in the order of the targets, for scores that are no products, in blocks of bounded memory.

        Args:
            scores: a function that returns, for the users rows_B, float32 scores_BV of all items; column 0 is padding.
                The tensor is overwritten, so it must not be part of another.
            excluded: a function that returns, for the users rows_B, the items_BX that are not ranked for them, padded
                with 0.

        Raises:
            NonFiniteError: a score is NaN or infinite.
        """
        ranks: list[int] = []
        rows_U = torch.arange(len(self.targets_U), device=self.targets_U.device)
        at_once = max(1, SCORES_AT_ONCE // (self.num_items + 1))
        for rows_B in rows_U.split(at_once):
            scores_BV = scores(rows_B).cpu().numpy()
            excluded_BX = excluded(rows_B).cpu().numpy()
            if not np.isfinite((scores_BV.min(), scores_BV.max())).all():
                raise NonFiniteError(NOT_FINITE)
            ranks += map(rank_of, scores_BV, self.targets_U[rows_B].tolist(), excluded_BX)
        return torch.tensor(ranks, dtype=torch.int64, device=self.targets_U.device)


def rank_of(
    scores_V: NDArray[np.float32], target: int, excluded_X: NDArray[np.integer[Any]]
) -> int:
    """Return the rank of one user's target, from 0, or UNREACHABLE if it is excluded.

    NumPy does this on a CPU ten times as fast as torch compares whole blocks.

    Args:
        scores_V: score of each item, which is overwritten; entry 0 is padding.
        target: number of the target item.
        excluded_X: items that are not ranked, padded with 0.
    """
    if target in excluded_X:
        return UNREACHABLE
    score = scores_V[target]
    scores_V[excluded_X] = -np.inf
    scores_V[0] = -np.inf
    num_higher = np.count_nonzero(scores_V > score)
    num_ties_before = np.count_nonzero(scores_V[:target] == score)
    return int(num_higher + num_ties_before)
