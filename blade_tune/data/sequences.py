"""Windows of user histories: the newest interactions of each user as a model's inputs and next-item targets.

Shapes follow the legend of `blade_tune.batch`; row u of U users is user u + 1, for user 0 is padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.data.table import Part, bounds_of, in_user_order


@dataclass(frozen=True)
class Windows:
    """Histories of all users, from which batches of windows are gathered on demand.

    A window's inputs are the history without its last interaction, its targets the history without its first, both cut
    to the newest `max_length` steps and padded on the left. Only the histories are in memory, not the padded windows.
    """

    max_length: int  # L, steps of a window
    items_N: Tensor  # int32, user after user, each in time order
    sets_NK: Tensor  # uint8
    starts_U: Tensor  # int64, where each user's history starts
    ends_U: Tensor  # int64, and where it ends

    def __len__(self) -> int:
        return len(self.ends_U)

    @property
    def device(self) -> torch.device:
        """Device that holds the histories and gathers the batches."""
        return self.items_N.device

    @property
    def lengths_U(self) -> Tensor:
        """Number of steps of each user's window that are no padding."""
        return (self.ends_U - self.starts_U - 1).clamp(0, self.max_length)

    def rows(self, index_B: Tensor) -> Batch:
        """Return the batch of the given rows, where row u is the window of user u + 1."""
        # A window needs one interaction more than it has steps: the oldest is only an input, the newest only a target.
        positions_BX, real_BX = self._newest(index_B, self.max_length + 1)
        items_BX = self.items_N[positions_BX].long() * real_BX
        sets_BXK = self.sets_NK[positions_BX] * real_BX[:, :, None]

        # The oldest interaction has nothing before it, so it is no target
        has_input_BL = real_BX[:, :-1]
        return Batch(
            users_B=index_B + 1,
            items_BL=items_BX[:, :-1].contiguous(),
            sets_BLK=sets_BXK[:, :-1].contiguous(),
            target_items_BL=items_BX[:, 1:] * has_input_BL,
            target_sets_BLK=sets_BXK[:, 1:] * has_input_BL[:, :, None],
        )

    def targets(self, index_B: Tensor) -> Tensor:
        """Return the last target of the given rows, the newest item of each user's history; shape B."""
        return self.items_N[self.ends_U[index_B] - 1].long()

    def inputs(self, index_B: Tensor, length: int) -> Tensor:
        """Return the newest `length` items before the last target, also those before the window; 0 is padding."""
        positions_BX, real_BX = self._newest(index_B, length + 1)
        return self.items_N[positions_BX[:, :-1]].long() * real_BX[:, :-1]

    def _newest(self, index_B: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Return the positions in `items_N` of each row's newest interactions, and the mask of those that exist.

        Both have `length` columns; positions that do not exist are 0, so that they can be gathered and then masked.
        """
        positions_BX = self.ends_U[index_B][:, None] + torch.arange(-length, 0, device=self.device)
        real_BX = positions_BX >= self.starts_U[index_B][:, None]
        return positions_BX * real_BX, real_BX

    def to(self, device: torch.device) -> "Windows":
        """Return these windows with the histories on another device, which then gathers the batches."""
        return Windows(
            max_length=self.max_length,
            items_N=self.items_N.to(device),
            sets_NK=self.sets_NK.to(device),
            starts_U=self.starts_U.to(device),
            ends_U=self.ends_U.to(device),
        )


def windows(parts: Sequence[Part], num_users: int, max_length: int) -> Windows:
    """Return windows over the rows of all parts, where a user's history is part after part.

    A user without a row in the last part has a window too, whose history just ends earlier (as in EIDP).

    Args:
        parts: train and those that follow, in time order.
        num_users: U; users are 1..U.
        max_length: L, steps of a window.
    """
    rows = in_user_order(parts)
    starts_U, ends_U = bounds_of(rows.users_N, num_users)
    return Windows(
        max_length=max_length,
        items_N=torch.from_numpy(rows.items_N),
        sets_NK=torch.from_numpy(rows.sets_NK),
        starts_U=torch.from_numpy(starts_U),
        ends_U=torch.from_numpy(ends_U),
    )


def rows_with(part: Part) -> Tensor:
    """Return the rows of Windows whose user has a row in `part`: the windows that can be evaluated on it."""
    users_X = np.unique(part.users_N).astype(np.int64)
    return torch.from_numpy(users_X - 1)
