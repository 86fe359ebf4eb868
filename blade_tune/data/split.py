"""The split by time: each user's last two target interactions are test and valid (EIDP, appendix A.3)."""

from typing import NamedTuple

import numpy as np

from blade_tune.batch import Interactions


class Split(NamedTuple):
    """The four parts of a data set; the order of rows is that of the whole table."""

    train: Interactions
    valid: Interactions
    between: Interactions
    test: Interactions


def split_by_time(rows: Interactions, auxiliary: int) -> Split:
    """Cut each user's rows at the last two target interactions.

    The last one is test, the one before it valid, rows before that train, target-free rows between the two between;
    rows after the test row are left out. A user with fewer than two target interactions gives all rows to train.

    Args:
        rows: all interactions, those of a user in time order.
        auxiliary: the column of the behavior that makes no interaction a target.
    """
    target_N = np.any(np.delete(rows.sets_NK, auxiliary, axis=1), axis=1)
    _, user_N = np.unique(rows.users_N, return_inverse=True)
    order_N = np.argsort(user_N, kind="stable")
    before_N = np.empty(len(rows), np.int64)  # targets of this and earlier users before the row
    before_N[order_N] = np.cumsum(target_N[order_N]) - target_N[order_N]
    total_U = np.bincount(user_N, weights=target_N).astype(np.int64)
    left_N = np.cumsum(total_U)[user_N] - before_N  # the user's targets from this row on
    whole_N = total_U[user_N] < 2
    return Split(
        train=rows.rows(whole_N | (left_N > 2) | ((left_N == 2) & ~target_N)),
        valid=rows.rows(~whole_N & target_N & (left_N == 2)),
        between=rows.rows(~whole_N & ~target_N & (left_N == 1)),
        test=rows.rows(~whole_N & target_N & (left_N == 1)),
    )
