"""Recommendation of items to users by their histories, with the model of a bundle; imports no Optuna."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.config import guess
from blade_tune.data.raw.settings import LogFormat
from blade_tune.data.sequences import Windows
from blade_tune.errors import ConfigError, DataError
from blade_tune.export.histories import Histories, Interaction, histories_of
from blade_tune.export.reading import load_bundle
from blade_tune.layers.embedding import UserTable
from blade_tune.models.base import DotProduct
from blade_tune.models.base import RecommenderModel as Model
from blade_tune.printable import printable

log = logging.getLogger(__name__)

USERS_AT_ONCE = 512  # users whose states are computed together
# float32 scores that fit a CPU's cache; docs/performance.md has the measurement
SCORES_AT_ONCE = 2**20
SHOWN = 5  # most ids or types of events that a note lists
# Users scored together even if they exceed the cache: item vectors are read once for all of them
FEWEST_AT_ONCE = 16


@dataclass(frozen=True)
class Recommendations:
    """The best items of some users in M rows, user after user, best first."""

    places_M: Tensor  # position of the user in the histories
    items_M: Tensor  # the model's number of the item
    ranks_M: Tensor  # from 1
    scores_M: Tensor
    notes: Sequence[
        str
    ]  # what was left out and who got nothing, a line a reason: all users of the input are accounted for


class Recommender:
    """A trained model with the ids of its users and items.

    Args:
        model: the model in evaluation mode.
        log: how a log of its data is read.
        users: ids of its users 1, 2, ...
        items: ids of its items 1, 2, ...
    """

    def __init__(
        self, model: Model, log: LogFormat, users: Sequence[str], items: Sequence[str]
    ) -> None:
        self.model, self.log, self.items = model, log, list(items)
        self.item_numbers = {name: number for number, name in enumerate(items, start=1)}
        self._user_numbers = {name: number for number, name in enumerate(users, start=1)}
        for table in model.modules():
            if isinstance(table, UserTable):
                table.settle_unknown()

    @classmethod
    def load(cls, folder: Path | str, device: torch.device | str = "cpu") -> Self:
        """Load a bundle that `export-best` wrote.

        Args:
            folder: the bundle.
            device: where the model computes.

        Raises:
            DataError: a file of the bundle is missing, was changed, or is malformed.
        """
        bundle = load_bundle(Path(folder))
        return cls(bundle.model.to(device), bundle.log, bundle.users, bundle.items)

    def recommend(
        self,
        histories: Mapping[str, Sequence[Interaction]],
        target: Collection[str] | None = None,
        k: int = 10,
        *,
        include_seen: bool = False,
    ) -> dict[str, list[tuple[str, float]]]:
        """Return the best k items of each user with their scores, best first.

        What was left out of the histories, and which users got nothing for which reason, is logged as warnings.

        Args:
            histories: user -> interactions, oldest first, each an item and its behaviors; users may be unknown.
            target: the wanted behaviors, which models that can be told a behavior set rank by; by default all but the
                auxiliary one.
            k: most items of a user; there are fewer if not so many are left.
            include_seen: whether items of the history may be recommended again.

        Returns:
            User -> list of (item, score), for every user; the list is empty for a user without a known item or who has
            met every item.

        Raises:
            ConfigError: a behavior is none of the model's, an id is no text, or k is below 1.
            DataError: a score is NaN or infinite.
        """
        given = histories_of(histories, self.item_numbers, self.log.behaviors)
        found = self.rank(given, target, k, include_seen=include_seen)
        for note in found.notes:
            log.warning(note)
        lists: dict[str, list[tuple[str, float]]] = {user: [] for user in histories}
        rows = zip(
            found.places_M.tolist(), found.items_M.tolist(), found.scores_M.tolist(), strict=True
        )
        for place, item, score in rows:
            lists[given.users[place]].append((self.items[item - 1], score))
        return lists

    def is_known(self, user: str) -> bool:
        """Return whether the model was trained on a user; others get the mean preference of all users."""
        return user in self._user_numbers

    @torch.inference_mode()
    def rank(
        self,
        histories: Histories,
        target: Collection[str] | None,
        k: int,
        *,
        include_seen: bool = False,
    ) -> Recommendations:
        """Return the best k items of each user as tensors on the CPU; `recommend` is the form for Python objects.

        Args:
            histories: the users and what they have met.
            target: the wanted behaviors; None for all but the auxiliary one.
            k: most items of a user.
            include_seen: whether items of the history may be recommended again.

        Raises:
            ConfigError: a behavior is none of the model's, or k is below 1.
            DataError: a score is NaN or infinite.
        """
        if k < 1:
            raise ConfigError(f"k must be at least 1, got {k}.")
        told_K = self._told(target)
        device = told_K.device
        windows = histories.windows(self.model.max_length).to(device)
        numbers_U = torch.tensor(
            [self._user_numbers.get(user, 0) for user in histories.users], device=device
        )
        num_met_U = torch.from_numpy(histories.num_items_U)
        num_items = self.model.catalog.num_items
        left_U = torch.full_like(num_met_U, num_items) if include_seen else num_items - num_met_U
        # Users of similar length share a batch, which is then cut to its longest window.
        lengths_U, order_U = windows.lengths_U.sort(stable=True)
        order_U = order_U[(lengths_U > 0) & (left_U.to(device)[order_U] > 0)]
        k = min(k, num_items)
        at_once = max(FEWEST_AT_ONCE, SCORES_AT_ONCE // (num_items + 1))
        score = self._scores(at_once)
        scores_UX, items_UX = (
            torch.zeros(len(windows), k),
            torch.zeros(len(windows), k, dtype=torch.long),
        )
        for order_B in order_U.split(USERS_AT_ONCE) if len(order_U) else ():
            batch = replace(
                windows.rows(order_B), users_B=numbers_U[order_B]
            ).with_final_target_set(told_K)
            batch = batch.newest(int(windows.lengths_U[order_B].max()))
            for rows_B, scores_BV in zip(order_B.split(at_once), score(batch), strict=True):
                _exclude(scores_BV, windows, rows_B, include_seen=include_seen)
                best_BX, places_BX = scores_BV.topk(k)
                scores_UX[rows_B.cpu()], items_UX[rows_B.cpu()] = best_BX.cpu(), places_BX.cpu()
        reached_U = torch.zeros(len(windows), dtype=torch.bool)
        reached_U[order_U.cpu()] = True
        found = _listed(scores_UX, items_UX, self._notes(histories, reached_U))
        # Items with a score that is not finite are dropped, so fewer than expected reveal one.
        expected_U = torch.where(reached_U, left_U.clamp(max=k), 0)
        if not torch.equal(found.places_M.bincount(minlength=len(windows)), expected_U):
            raise DataError(
                "a score is NaN or infinite, so nothing can be recommended; export the bundle again."
            )
        return found

    def _notes(self, histories: Histories, reached_U: Tensor) -> list[str]:
        """Return notes on what was left out, and on users to whom nothing is recommended, one for each reason."""
        notes = []
        if not histories.users:
            notes.append("the histories have no user, so nothing is recommended")
        types = _some(list(histories.other_types))
        for reason, count in histories.left_out.items():
            fact = (
                f"a type that is none of the behaviors ({types})"
                if reason == "other_event" and types
                else ""
            )
            if count:
                notes.append(
                    f"{count:,} rows have {fact or reason.replace('_', ' ')} and are left out"
                )
        has_known_U = histories.num_items_U > 0
        nothing = "and get no recommendation"
        by_words = {
            "users are new to the model and have the mean preference of all others": [
                not self.is_known(user) for user in histories.users
            ],
            f"users have no row with an item and a behavior {nothing}": ~histories.has_row_U,
            f"users have no known item {nothing}": histories.has_row_U & ~has_known_U,
            f"users have met every item {nothing}, unless met ones may be recommended": has_known_U
            & ~reached_U.numpy(),
        }
        named = {"items are not the model's and left out": histories.unknown_items}
        for words, is_meant_U in by_words.items():
            named[words] = [
                user for user, is_meant in zip(histories.users, is_meant_U, strict=True) if is_meant
            ]
        return notes + [
            f"{len(names):,} {words}: {_some(names)}" for words, names in named.items() if names
        ]

    def _scores(self, at_once: int) -> Callable[[Batch], Iterator[Tensor]]:
        """Return a function that yields the scores_BV of a batch's users, `at_once` users at a time."""
        model = self.model
        if isinstance(model, DotProduct):
            vectors_DV = model.item_vectors().float().T
            return lambda batch: (
                states @ vectors_DV for states in model.final_states(batch).float().split(at_once)
            )
        return lambda batch: map(model.scores, batch.split(at_once))

    def _told(self, target: Collection[str] | None) -> Tensor:
        """Return told_K, the wanted behavior set, on the model's device."""
        catalog = self.model.catalog
        names = catalog.behaviors
        if target is None:
            target = [name for k, name in enumerate(names) if k != catalog.auxiliary]
        if not target:
            raise ConfigError("target must name at least one behavior.")
        for name in target:
            if name not in names:
                raise ConfigError(f"unknown behavior {name!r}. {guess(name, names)}")
        return torch.tensor(
            [name in target for name in names], dtype=torch.uint8, device=self.model.device
        )


def _exclude(scores_BV: Tensor, windows: Windows, order_B: Tensor, *, include_seen: bool) -> None:
    """Give padding and, unless `include_seen`, all items of each user's history the lowest score, in place."""
    scores_BV[:, 0] = -torch.inf
    if not include_seen:
        longest = int((windows.ends_U - windows.starts_U)[order_B].max())
        scores_BV.scatter_(1, windows.inputs(order_B, longest), -torch.inf)


def _listed(scores_UX: Tensor, items_UX: Tensor, notes: Sequence[str]) -> Recommendations:
    """Return sorted recommendations; of items with equal scores the one with the smaller number comes first."""
    order_UX = torch.from_numpy(np.lexsort((items_UX.numpy(), -scores_UX.numpy())))
    scores_UX, items_UX = scores_UX.gather(1, order_UX), items_UX.gather(1, order_UX)
    found_UX = (items_UX > 0) & scores_UX.isfinite()
    places_M, columns_M = found_UX.nonzero(as_tuple=True)
    return Recommendations(places_M, items_UX[found_UX], columns_M + 1, scores_UX[found_UX], notes)


def _some(names: Sequence[str]) -> str:
    """Return the first names of a list as text that is safe to print on a terminal."""
    return ", ".join(map(printable, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")
