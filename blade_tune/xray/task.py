"""Tasks of the x-ray: users whose next item is to be found, their histories, and the items that came next."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from blade_tune.catalog import Ids, Interactions, has_target
from blade_tune.data.store import SearchData

Exclude = Literal["window", "full", "none"]

# Seed of all random draws, each of which adds a number of its own
SEED = 2026
# Pairs of a row and a later one; if there are more, only rows near each other are paired
MOST_PAIRS = 10_000_000
# Rows this near are always paired; if that is still too many pairs, users are sampled
LEAST_REACH = 10
# Users times items; if there are more, users are sampled
MOST_SCORES = 2 * 10**8


@dataclass(frozen=True)
class Task:
    """Users whose next item is to be found, and the rows that recommenders may count.

    The rows of a user are also the user's history. Here a user is a position in `users_U`, unless said otherwise.
    """

    rows: Interactions  # user after user, each in time order
    users_U: Ids  # internal ids of the users, ascending
    items_U: Ids  # the item that came next
    sets_UK: NDArray[np.uint8]  # the behavior set of that item
    num_items: int
    window: int  # number of newest interactions that a recommender sees
    exclude: (
        Exclude  # met items that are not ranked: those of the window, of the full history, or none
    )
    reach: int  # largest distance of two rows of a user that make a pair

    def __len__(self) -> int:
        return len(self.users_U)

    @cached_property
    def bounds_U2(self) -> NDArray[np.int64]:
        """Positions in `rows` where those of each user begin and end."""
        bounds_U2 = np.stack((self.users_U, self.users_U + 1), axis=1)
        return np.searchsorted(self.rows.users_N, bounds_U2)

    @cached_property
    def steps(self) -> tuple[Ids, Ids, Ids]:
        """All X steps of all windows: users_X, the user; places_X, the row's position; ages_X, 0 for the newest."""
        starts_U, ends_U = self.bounds_U2.T
        lengths_U = np.minimum(ends_U - starts_U, self.window)
        users_X = np.repeat(np.arange(len(self)), lengths_U)

        # The newest step of each user's window has age 0 and is the last one before the user's end.
        newest_U = np.cumsum(lengths_U) - 1
        ages_X = newest_U[users_X] - np.arange(len(users_X))
        places_X = ends_U[users_X] - 1 - ages_X
        return users_X, places_X, ages_X

    @property
    def mean_length(self) -> float:
        """Mean number of steps of a window."""
        return len(self.steps[0]) / max(1, len(self))

    def met(self, user: int) -> Ids:
        """Return the items that are not ranked for a user who has met them."""
        start, end = self.bounds_U2[user]
        if self.exclude == "none":
            start = end
        elif self.exclude == "window":
            start = max(start, end - self.window)
        return self.rows.items_N[start:end]

    @cached_property
    def is_met_U(self) -> NDArray[np.bool_]:
        """Mask of users whose next item is not ranked, since they have met it."""
        is_met = [(self.met(user) == item).any() for user, item in enumerate(self.items_U)]
        return np.array(is_met, bool)

    def asking(self, count: int) -> "Task":
        """Return this task with a random sample of at most `count` users, and with all rows."""
        if len(self) <= count:
            return self
        order_U = np.random.default_rng([SEED, 1]).permutation(len(self))
        kept_U = np.sort(order_U[:count])
        return replace(
            self,
            users_U=self.users_U[kept_U],
            items_U=self.items_U[kept_U],
            sets_UK=self.sets_UK[kept_U],
        )

    def in_any_order(self) -> "Task":
        """Return this task with the rows of each user in random order."""
        chance_N = np.random.default_rng([SEED, 2]).random(len(self.rows))
        order_N = np.lexsort((chance_N, self.rows.users_N))
        return replace(self, rows=self.rows.rows(order_N))


def valid_task(data: SearchData, window: int, exclude: Exclude) -> Task:
    """Return the task to find the valid rows after the train rows; of large data, for a random sample of users.

    Args:
        data: the search data.
        window: number of newest interactions that a recommender sees.
        exclude: which met items are not ranked.
    """
    reach, kept_U = _few_enough(np.bincount(data.train.users_N), window)
    valid = _in_memory(data.valid, kept_U)
    task = Task(
        rows=_in_memory(data.train, kept_U),
        users_U=valid.users_N,
        items_U=valid.items_N,
        sets_UK=valid.sets_NK,
        num_items=data.num_items,
        window=window,
        exclude=exclude,
        reach=reach,
    )
    return task.asking(MOST_SCORES // (data.num_items + 1))


def _in_memory(rows: Interactions, kept_U: NDArray[np.bool_]) -> Interactions:
    """Return the rows of the kept users, as plain arrays in memory."""
    kept = rows.rows(kept_U[rows.users_N])
    return Interactions(np.array(kept.users_N), np.array(kept.items_N), np.array(kept.sets_NK))


def train_task(task: Task, auxiliary: Sequence[int]) -> Task:
    """Return the task to find each user's last target row of a task's rows; rows after it are left out.

    Recommenders are chosen on this task, so that the choice does not see the rows that they are compared on.

    Args:
        task: the task whose rows are used.
        auxiliary: columns of the auxiliary behaviors; a row with any other behavior is a target.
    """
    # Find the last target row of each user; of several assignments to a user the last one stays.
    rows = task.rows
    places_N = np.arange(len(rows))
    is_target_N = has_target(rows.sets_NK, auxiliary)
    lasts_U = np.full(int(rows.users_N.max(initial=0)) + 1, len(rows))
    lasts_U[rows.users_N[is_target_N]] = places_N[is_target_N]
    lasts_N = lasts_U[rows.users_N]

    # Ask for it where some row before it has the user, and some the item.
    known = rows.rows(places_N < lasts_N)
    asked = rows.rows(places_N == lasts_N)
    has_user_N = np.isin(asked.users_N, known.users_N)
    has_item_N = np.isin(asked.items_N, known.items_N)
    asked = asked.rows(has_user_N & has_item_N)
    return replace(
        task, rows=known, users_U=asked.users_N, items_U=asked.items_N, sets_UK=asked.sets_NK
    )


def _few_enough(counts_U: NDArray[np.int64], window: int) -> tuple[int, NDArray[np.bool_]]:
    """Return the reach of pairs and the mask of users who are kept, given each user's number of rows."""
    # Choose the farthest distance up to which there are not too many pairs.
    pairs_D = [int(np.maximum(counts_U - distance, 0).sum()) for distance in range(1, window + 1)]
    reach = int(np.searchsorted(np.cumsum(pairs_D), MOST_PAIRS, side="right"))
    reach = min(window, max(LEAST_REACH, reach))

    # If there still are too many, keep users in random order until there are.
    kept_U = np.ones(len(counts_U), bool)
    if sum(pairs_D[:reach]) > MOST_PAIRS:
        pairs_U = counts_U * np.minimum(counts_U, reach)
        order_U = np.random.default_rng([SEED, 3]).permutation(len(counts_U))
        is_beyond_U = np.cumsum(pairs_U[order_U]) > MOST_PAIRS
        kept_U[order_U[is_beyond_U]] = False
    return reach, kept_U
