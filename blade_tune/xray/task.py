"""Whose next item is to be found, what is known of them, and what came next."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from blade_tune.batch import Ids, Interactions
from blade_tune.data.store import SearchData

Exclude = Literal["window", "full"]

SEED = 2026  # of all that is drawn by lot, each draw with a number of its own
MOST_PAIRS = 10_000_000  # of a row and a later one: of larger data only nearer ones are paired,
LEAST_REACH = 10  # but those so near always are, and so many users are drawn
MOST_SCORES = 2 * 10**8  # of users and items; of more, so many users are asked about


@dataclass(frozen=True)
class Task:
    """Users to find the next item for; `rows` are all that may be counted, and those of a user are its history."""

    rows: Interactions  # user after user, each in order of time
    users_U: Ids  # who is asked about, ascending
    items_U: Ids  # what came next
    sets_UK: NDArray[np.uint8]  # and with which behaviors
    num_items: int
    window: int  # newest interactions that a recommender sees
    exclude: Exclude  # met items that are not ranked: those of the window, or all
    reach: int  # rows of a user that make pairs are at most so far apart

    def __len__(self) -> int:
        return len(self.users_U)

    @cached_property
    def bounds_U2(self) -> NDArray[np.int64]:
        """Where the rows of each user begin and end."""
        return np.searchsorted(self.rows.users_N, np.stack((self.users_U, self.users_U + 1), axis=1))

    @cached_property
    def steps(self) -> tuple[Ids, Ids, Ids]:
        """All steps of all windows: asked_X, the place of the user; places_X, that of the row; ages_X, from 0."""
        starts_U, ends_U = self.bounds_U2.T
        lengths_U = np.minimum(ends_U - starts_U, self.window)
        asked_X = np.repeat(np.arange(len(self)), lengths_U)
        firsts_U = np.cumsum(lengths_U) - lengths_U
        ages_X = (lengths_U + firsts_U)[asked_X] - 1 - np.arange(len(asked_X))
        return asked_X, ends_U[asked_X] - 1 - ages_X, ages_X

    @property
    def mean_length(self) -> float:
        """Steps of a window."""
        return len(self.steps[0]) / max(1, len(self))

    def met(self, user: int) -> Ids:
        """Items that are not ranked for the user at this place, because it met them."""
        start, end = self.bounds_U2[user]
        return self.rows.items_N[max(start, end - self.window) if self.exclude == "window" else start : end]

    @cached_property
    def is_met_U(self) -> NDArray[np.bool_]:
        """True where what came next is an item that is not ranked."""
        return np.array([(self.met(user) == item).any() for user, item in enumerate(self.items_U)], bool)

    def asking(self, count: int) -> "Task":
        """The same rows, with no more than so many users, drawn by lot."""
        if len(self) <= count:
            return self
        kept_U = np.sort(np.random.default_rng([SEED, 1]).permutation(len(self))[:count])
        users_U, items_U, sets_UK = self.users_U[kept_U], self.items_U[kept_U], self.sets_UK[kept_U]
        return replace(self, users_U=users_U, items_U=items_U, sets_UK=sets_UK)

    def in_any_order(self) -> "Task":
        """The same, but that the rows of each user stand in an order drawn by lot."""
        chance_N = np.random.default_rng([SEED, 2]).random(len(self.rows))
        return replace(self, rows=self.rows.rows(np.lexsort((chance_N, self.rows.users_N))))


def valid_task(data: SearchData, window: int, exclude: Exclude) -> Task:
    """What came next in the valid rows, after the train rows; of large data for users drawn by lot."""
    reach, kept_U = _few_enough(np.bincount(data.train.users_N), window)
    train, valid = (
        Interactions(*(np.array(values_N[kept_U[part.users_N]]) for values_N in vars(part).values()))
        for part in (data.train, data.valid)
    )
    task = Task(train, valid.users_N, valid.items_N, valid.sets_NK, data.num_items, window, exclude, reach)
    return task.asking(MOST_SCORES // (data.num_items + 1))


def train_task(task: Task, auxiliary: int) -> Task:
    """What came next in the last target row of each user, after the rows before it; rows after it are left out.

    Recommenders are chosen by it, without a look at what they are compared by.

    Args:
        task: whose rows there are.
        auxiliary: the column of the behavior that makes no row a target.
    """
    rows, places_N = task.rows, np.arange(len(task.rows))
    is_target_N = np.delete(rows.sets_NK, auxiliary, axis=1).any(axis=1)
    lasts_U = np.full(int(rows.users_N.max(initial=0)) + 1, len(rows))
    lasts_U[rows.users_N[is_target_N]] = places_N[is_target_N]  # of those of one user the last one stays
    known = rows.rows(places_N < lasts_U[rows.users_N])
    asked = rows.rows(places_N == lasts_U[rows.users_N])
    asked = asked.rows(np.isin(asked.users_N, known.users_N) & np.isin(asked.items_N, known.items_N))
    return replace(task, rows=known, users_U=asked.users_N, items_U=asked.items_N, sets_UK=asked.sets_NK)


def _few_enough(counts_U: NDArray[np.int64], window: int) -> tuple[int, NDArray[np.bool_]]:
    """How far apart the rows of pairs may be, and True for each user who is kept, given the rows of each."""
    pairs_D = [int(np.maximum(counts_U - distance, 0).sum()) for distance in range(1, window + 1)]
    reach = int(np.searchsorted(np.cumsum(pairs_D), MOST_PAIRS, side="right"))
    reach = min(window, max(LEAST_REACH, reach))
    pairs_U = counts_U * np.minimum(counts_U, reach)
    kept_U = np.ones(len(counts_U), bool)
    if sum(pairs_D[:reach]) > MOST_PAIRS:
        order_U = np.random.default_rng([SEED, 3]).permutation(len(counts_U))
        kept_U[order_U[np.cumsum(pairs_U[order_U]) > MOST_PAIRS]] = False
    return reach, kept_U
