"""Split of a data set by time: each user's last two target interactions are valid and test (EIDP, appendix A.3)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from blade_tune.catalog import Interactions, has_target


class Split(NamedTuple):
    """The four parts of a data set, each with its rows in the order of the whole table."""

    train: Interactions
    valid: Interactions
    between: Interactions
    test: Interactions


def split_by_time(rows: Interactions, auxiliary: Sequence[int]) -> Split:
    """Split a table at each user's last two target interactions.

    The last target interaction is `test` and the one before it `valid`. Rows before the valid one are `train`, rows
    between the two, none of which is a target, are `between`, and rows after the test one are left out. All rows of a
    user with fewer than two target interactions are `train`.

    Args:
        rows: all interactions, those of a user in time order.
        auxiliary: columns of the auxiliary behaviors; an interaction with any other behavior is a target.
    """
    # How many targets each user has, and how many are left from each row on, this row included
    target_N = has_target(rows.sets_NK, auxiliary)
    _, user_N = np.unique(rows.users_N, return_inverse=True)
    order_N = np.argsort(user_N, kind="stable")
    before_N = np.empty(len(rows), np.int64)  # targets of this and earlier users before the row
    before_N[order_N] = np.cumsum(target_N[order_N]) - target_N[order_N]
    total_U = np.bincount(user_N, weights=target_N).astype(np.int64)
    left_N = np.cumsum(total_U)[user_N] - before_N

    # Without two targets the whole user is train
    whole_N = total_U[user_N] < 2
    before_valid_N = (left_N > 2) | ((left_N == 2) & ~target_N)
    return Split(
        train=rows.rows(whole_N | before_valid_N),
        valid=rows.rows(~whole_N & target_N & (left_N == 2)),
        between=rows.rows(~whole_N & ~target_N & (left_N == 1)),
        test=rows.rows(~whole_N & target_N & (left_N == 1)),
    )
