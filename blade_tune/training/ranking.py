"""Full ranking in blocks of users and items that fit a CPU's cache, however large the catalog."""

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
ITEMS_AT_ONCE = 5200  # no power of two: rows of such a length would fall into the same lines of the cache
MOST_ITEMS_AT_ONCE = 8 * ITEMS_AT_ONCE
SCORES_AT_ONCE = 2**22  # where scores are no products: 16 MiB of them; docs/performance.md has the measurement
WIDTH = 16  # in products of multiples of so many items, equal vectors get equal scores; in others, MKL rounds unequally

NOT_FINITE = "a score is NaN or infinite, so nothing can be ranked."


@dataclass(frozen=True)
class Block:
    """Users whose targets lie in one run of items, their home."""

    rows_B: Tensor  # in ascending order of target
    home: int  # the number of the run
    lowest: int  # target
    highest: int


class Ranking:
    """The place of one target a user among all items, from 0.

    Items with a higher score stand before it, and so do items with the same score and a smaller number. Scores are
    float32 products of a user's state with the vectors of items; item 0 is padding and never ranked. Equal vectors have
    equal scores: all products of a block have one shape, and a target's score is read from the one of its run of items.

    Args:
        targets_U: the item to find for each user, from 1.
        num_items: V.
    """

    def __init__(self, targets_U: Tensor, num_items: int) -> None:
        self.targets_U = targets_U
        self.num_items = num_items
        fewest = -(-num_items // max(1, len(targets_U) // USERS_AT_ONCE))  # in shorter runs, blocks would be small
        at_once = min(num_items, max(ITEMS_AT_ONCE, min(fewest, MOST_ITEMS_AT_ONCE)))
        self.run = -(-at_once // WIDTH) * WIDTH
        sizes = torch.bincount((targets_U - 1) // self.run).tolist()  # users at home in each run
        self.blocks = []
        for home, rows_N in enumerate(targets_U.argsort().split(sizes)):
            for rows_B in rows_N.split(USERS_AT_ONCE) if len(rows_N) else ():
                lowest, highest = targets_U[rows_B[[0, -1]]].tolist()
                self.blocks.append(Block(rows_B, home, lowest, highest))

    def __call__(self, states_UD: Tensor, vectors_VD: Tensor, excluded: Callable[[Tensor], Tensor]) -> Tensor:
        """ranks_U, in the order of the targets.

        Args:
            states_UD: what items are scored with for each user.
            vectors_VD: of all items; row 0 is padding.
            excluded: items_BX that must not be recommended to the users of rows_B, 0 for none; a target among them
                cannot be hit: it is UNREACHABLE.

        Raises:
            NonFiniteError: a state or a vector is NaN, infinite, or so large that a score may be.
        """
        states_UD = states_UD.float()
        vectors_VD = vectors_VD[1:].to(states_UD)  # of popularity they are on the CPU, wherever users are
        if not torch.isfinite(states_UD.norm(dim=1).max() * vectors_VD.norm(dim=1).max()):
            raise NonFiniteError(NOT_FINITE)
        runs = list(vectors_VD.split(self.run))
        runs[-1] = pad(runs[-1], (0, 0, 0, self.run - len(runs[-1])))
        framed_BX = states_UD.new_empty(USERS_AT_ONCE, self.run + 2)  # a column on either side for items of other runs
        ranks_U = torch.empty_like(self.targets_U)
        for block in self.blocks:
            excluded_BX = excluded(block.rows_B)
            targets_B1 = self.targets_U[block.rows_B][:, None]
            room_BX = framed_BX[: len(block.rows_B)]
            before_B = self._before(block, states_UD[block.rows_B], runs, targets_B1, excluded_BX, room_BX)
            hopeless_B = (excluded_BX == targets_B1).any(dim=1)
            ranks_U[block.rows_B] = torch.where(hopeless_B, UNREACHABLE, before_B.long())
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
        """How many items stand before each target; `framed_BX` is room for the scores of a run."""
        before_B = states_BD.new_zeros(len(states_BD), dtype=torch.float64)
        target_scores_B1 = states_BD[:, :1]
        for run in sorted(range(len(runs)), key=lambda run: run != block.home):
            torch.mm(states_BD, runs[run].T, out=framed_BX[:, 1:-1])
            first = 1 + run * self.run
            width = min(self.run, self.num_items + 1 - first)
            scores_BX = framed_BX[:, 1 : width + 1]
            if run == block.home:
                target_scores_B1 = scores_BX.gather(1, targets_B1 - first)
            framed_BX.scatter_(1, (excluded_BX - (first - 1)).clamp(0, width + 1), -torch.inf)
            low, high = (min(max(item - first, 0), width) for item in (block.lowest, block.highest + 1))
            items_X = torch.arange(first + low, first + high, device=states_BD.device)
            mixed_BX = scores_BX[:, low:high]
            is_tie_BX = (mixed_BX == target_scores_B1) & (items_X < targets_B1)
            mixed_BX.copy_((mixed_BX > target_scores_B1) | is_tie_BX)
            scores_BX[:, :low].ge_(target_scores_B1)
            scores_BX[:, high:].gt_(target_scores_B1)
            before_B += scores_BX.sum(dim=1)
        return before_B

    def of_scores(self, scores: Callable[[Tensor], Tensor], excluded: Callable[[Tensor], Tensor]) -> Tensor:
        """The same for scores that are no products, in blocks of bounded memory.

        Args:
            scores: scores_BV of the users of rows_B, float32, in a tensor of its own; column 0 is padding.
            excluded: as above.

        Raises:
            NonFiniteError: a score is NaN or infinite.
        """
        ranks: list[int] = []
        rows_U = torch.arange(len(self.targets_U), device=self.targets_U.device)
        for rows_B in rows_U.split(max(1, SCORES_AT_ONCE // (self.num_items + 1))):
            scores_BV, excluded_BX = scores(rows_B).cpu().numpy(), excluded(rows_B).cpu().numpy()
            if not np.isfinite((scores_BV.min(), scores_BV.max())).all():
                raise NonFiniteError(NOT_FINITE)
            ranks += map(rank_of, scores_BV, self.targets_U[rows_B].tolist(), excluded_BX)
        return torch.tensor(ranks, dtype=torch.int64, device=self.targets_U.device)


def rank_of(scores_V: NDArray[np.float32], target: int, excluded_X: NDArray[np.integer[Any]]) -> int:
    """Of one user, by numpy: on a CPU ten times as fast as comparing whole blocks with torch. Scores are used up."""
    if target in excluded_X:
        return UNREACHABLE
    score = scores_V[target]
    scores_V[excluded_X] = -np.inf
    scores_V[0] = -np.inf
    return int(np.count_nonzero(scores_V > score) + np.count_nonzero(scores_V[:target] == score))
