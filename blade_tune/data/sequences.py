"""Windows: the newest interactions of each user as inputs and next-item targets."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.data.table import Part, concatenate


def windows(parts: Sequence[Part], num_users: int, max_length: int) -> Batch:
    """One row a user, in user order: the window of the user's rows in all parts, one part after the other.

    Inputs are the sequence without its last row, targets the sequence without its first, both cut to the newest
    `max_length` steps and padded on the left. A user without a row in the last part gets a row too; its sequence just
    ends earlier (as in EIDP).
    """
    rows = concatenate(parts)
    rows = rows.rows(np.argsort(rows.users_N, kind="stable"))
    ends_U = np.searchsorted(rows.users_N, np.arange(1, num_users + 1), side="right")
    starts_U = np.concatenate([[0], ends_U[:-1]])
    positions_UL = ends_U[:, None] + np.arange(-max_length - 1, 0)  # one more than max_length: the newest is no input
    real_UL = positions_UL >= starts_U[:, None]
    positions_UL = np.where(real_UL, positions_UL, 0)
    items_UL = torch.from_numpy(np.where(real_UL, rows.items_N[positions_UL], 0).astype(np.int64))
    sets_ULK = torch.from_numpy(rows.sets_NK[positions_UL] * real_UL[:, :, None])
    has_input_UL = torch.from_numpy(real_UL[:, :-1])  # the oldest row has nothing before it, so it is no target
    return Batch(
        users_B=torch.arange(1, num_users + 1),
        items_BL=items_UL[:, :-1].contiguous(),
        sets_BLK=sets_ULK[:, :-1].contiguous(),
        target_items_BL=items_UL[:, 1:] * has_input_UL,
        target_sets_BLK=sets_ULK[:, 1:] * has_input_UL[:, :, None],
    )


def rows_with(part: Part) -> Tensor:
    """The rows of `windows` whose user has a row in `part`: those that can be evaluated on it."""
    return torch.from_numpy(np.unique(part.users_N).astype(np.int64) - 1)
