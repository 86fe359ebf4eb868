"""Windows: the newest interactions of each user as inputs and next-item targets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blade_tune.batch import Batch, Ids, Interactions
from blade_tune.data.table import Part, concatenate


@dataclass(frozen=True)
class Windows:
    """One row a user, gathered from the histories of all users when it is asked for; row u is user u + 1.

    Inputs are the history without its last interaction, targets the history without its first, both cut to the newest
    `max_length` steps and padded on the left.
    """

    max_length: int
    items_N: Tensor  # int32, user after user, each in time order
    sets_NK: Tensor  # uint8
    starts_U: Tensor  # int64, where each user's history starts
    ends_U: Tensor  # int64, and where it ends

    def __len__(self) -> int:
        return len(self.ends_U)

    @property
    def device(self) -> torch.device:
        """Where rows are gathered."""
        return self.items_N.device

    @property
    def lengths_U(self) -> Tensor:
        """Real steps of each row."""
        return (self.ends_U - self.starts_U - 1).clamp(0, self.max_length)

    def rows(self, index_B: Tensor) -> Batch:
        """The batch of the given rows."""
        positions_BX, real_BX = self._newest(index_B, self.max_length + 1)  # the newest is a target, but no input
        items_BX = self.items_N[positions_BX].long() * real_BX
        sets_BXK = self.sets_NK[positions_BX] * real_BX[:, :, None]
        has_input_BL = real_BX[:, :-1]  # the oldest interaction has nothing before it, so it is no target
        return Batch(
            users_B=index_B + 1,
            items_BL=items_BX[:, :-1].contiguous(),
            sets_BLK=sets_BXK[:, :-1].contiguous(),
            target_items_BL=items_BX[:, 1:] * has_input_BL,
            target_sets_BLK=sets_BXK[:, 1:] * has_input_BL[:, :, None],
        )

    def targets(self, index_B: Tensor) -> Tensor:
        """The newest item of the given rows, the last target."""
        return self.items_N[self.ends_U[index_B] - 1].long()

    def inputs(self, index_B: Tensor, length: int) -> Tensor:
        """The newest `length` items before the last target, as many as max_length or more; 0 is padding."""
        positions_BX, real_BX = self._newest(index_B, length + 1)
        return self.items_N[positions_BX[:, :-1]].long() * real_BX[:, :-1]

    def _newest(self, index_B: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Where the newest `length` interactions of each row stand, and True where there is one; 0 elsewhere."""
        positions_BX = self.ends_U[index_B][:, None] + torch.arange(-length, 0, device=self.device)
        real_BX = positions_BX >= self.starts_U[index_B][:, None]
        return positions_BX * real_BX, real_BX

    def to(self, device: torch.device) -> "Windows":
        """The same windows, gathered on another device."""
        tensors = (self.items_N, self.sets_NK, self.starts_U, self.ends_U)
        return Windows(self.max_length, *(tensor.to(device) for tensor in tensors))


def windows(parts: Sequence[Part], num_users: int, max_length: int) -> Windows:
    """Windows on the rows of all parts, one part after the other.

    A user without a row in the last part gets a row too; its history just ends earlier (as in EIDP).
    """
    rows = in_user_order(parts)
    arrays = (rows.items_N, rows.sets_NK, *bounds_of(rows.users_N, num_users))
    return Windows(max_length, *(torch.from_numpy(array) for array in arrays))


def in_user_order(parts: Sequence[Part]) -> Interactions:
    """The rows of all parts, user after user; those of one user part after part."""
    rows = concatenate(parts)
    return rows.rows(np.argsort(rows.users_N, kind="stable"))


def bounds_of(users_N: Ids, num_users: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """starts_U and ends_U of the rows of each of the users 1..num_users in rows sorted by user."""
    bounds = np.searchsorted(users_N, np.arange(1, num_users + 2)).astype(np.int64)
    return bounds[:-1], bounds[1:]


def rows_with(part: Part) -> Tensor:
    """The rows of `windows` whose user has a row in `part`: those that can be evaluated on it."""
    return torch.from_numpy(np.unique(part.users_N).astype(np.int64) - 1)
