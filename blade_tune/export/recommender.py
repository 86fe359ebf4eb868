"""Recommendation of items to users by their histories, with the model of a bundle; imports no Optuna."""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.choices import TargetSet
from blade_tune.config import guess
from blade_tune.data.raw.settings import LogFormat
from blade_tune.data.sequences import Windows
from blade_tune.errors import ConfigError, DataError
from blade_tune.export.histories import Histories, Interaction, histories_of
from blade_tune.export.reading import Loaded, load_bundle
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
    # What was left out and which users got nothing, a line a reason: all users of the input are accounted for
    notes: Sequence[str]


class Recommender:
    """A trained model with the ids of its users and items.

    Args:
        model: the model in evaluation mode.
        log: how a log of its data is read.
        users: ids of its users 1, 2, ...
        items: ids of its items 1, 2, ...
        target_set: what the model was told of the items to predict when it was chosen. Under `mode` that set is also
            what is hoped for if nothing is named; else it is all target behaviors.
        formats: all formats of a log whose files have columns of their own, of which `log` is the first; else empty.
    """

    def __init__(
        self,
        model: Model,
        log: LogFormat,
        users: Sequence[str],
        items: Sequence[str],
        target_set: TargetSet = "truth",
        formats: Sequence[LogFormat] = (),
    ) -> None:
        self.model, self.log, self.items = model, log, list(items)
        self.formats = formats
        self.target_set = target_set
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
        return cls.of(load_bundle(Path(folder)), device)

    @classmethod
    def of(cls, bundle: Loaded, device: torch.device | str = "cpu") -> Self:
        """Return the recommender of a bundle that was read.

        Args:
            bundle: the bundle.
            device: where the model computes.
        """
        model = bundle.model.to(device)
        ids = (bundle.users, bundle.items)
        return cls(model, bundle.log, *ids, bundle.target_set, bundle.formats)

    def recommend(
        self,
        histories: Mapping[str, Sequence[Interaction]],
        target: Collection[str] | None = None,
        k: int = 10,
        *,
        include_seen: bool = False,
        seen: Mapping[str, Collection[str]] | None = None,
    ) -> dict[str, list[tuple[str, float]]]:
        """Return the best k items of each user with their scores, best first.

        What was left out of the histories, and which users got nothing for which reason, is logged as warnings.

        Args:
            histories: user -> interactions, oldest first, each an item and its behaviors; users may be unknown.
            target: the wanted behaviors, by which models that take a target set rank; by default all target
                behaviors, or the most frequent set where the model's study told that one (`target_set: mode`).
            k: most items of a user; there are fewer if not so many are left.
            include_seen: whether items of the history, and those of `seen`, may be recommended again.
            seen: user -> items that the user only knows: they are no part of the history, and are not recommended.

        Returns:
            User -> list of (item, score), for every user of both; the list is empty for a user whose history has no
            known item, whatever the user has seen, and for one who knows every item.

        Raises:
            ConfigError: a behavior is none of the model's, an id is no text, or k is below 1.
            DataError: a score is NaN or infinite.
        """
        lists, notes = self.answer(histories, target, k, include_seen=include_seen, seen=seen)
        for note in notes:
            log.warning(note)
        return lists

    def answer(
        self,
        histories: Mapping[str, Sequence[Interaction]],
        target: Collection[str] | None = None,
        k: int = 10,
        *,
        include_seen: bool = False,
        seen: Mapping[str, Collection[str]] | None = None,
    ) -> tuple[dict[str, list[tuple[str, float]]], Sequence[str]]:
        """Return what `recommend` does, and its warnings as a list instead of in the log.

        Args:
            histories: as of `recommend`.
            target: as of `recommend`.
            k: as of `recommend`.
            include_seen: as of `recommend`.
            seen: as of `recommend`.

        Raises:
            ConfigError: a behavior is none of the model's, an id is no text, or k is below 1.
            DataError: a score is NaN or infinite.
        """
        numbered = histories_of(histories, seen or {}, self.item_numbers, self.log)
        ranked = self.rank(numbered, target, k, include_seen=include_seen)

        # Rows as lists by user
        lists: dict[str, list[tuple[str, float]]] = {user: [] for user in numbered.users}
        columns = (ranked.places_M.tolist(), ranked.items_M.tolist(), ranked.scores_M.tolist())
        for position, item, score in zip(*columns, strict=True):
            user = numbered.users[position]
            lists[user].append((self.items[item - 1], score))
        return lists, ranked.notes

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
            histories: the users and what they have met, or only seen.
            target: the wanted behaviors; None for the default of `recommend`.
            k: most items of a user.
            include_seen: whether what they have met or seen may be recommended again.

        Raises:
            ConfigError: a behavior is none of the model's, or k is below 1.
            DataError: a score is NaN or infinite.
        """
        if k < 1:
            raise ConfigError(f"k must be at least 1, got {k}.")
        wanted_K = self._target_set(target)
        device = wanted_K.device
        windows = histories.windows(self.model.max_length).to(device)
        numbers = [self._user_numbers.get(user, 0) for user in histories.users]
        numbers_U = torch.tensor(numbers, device=device)

        # What is not recommended to each user, and how many items are left
        num_items = self.model.catalog.num_items
        excluded, left_U = None, torch.full((len(windows),), num_items)
        if not include_seen:
            known = histories.known
            is_met = known is histories
            excluded = windows if is_met else known.windows(self.model.max_length).to(device)
            left_U -= torch.from_numpy(known.num_items_U)
        k = min(k, num_items)

        # Rank for users who have a window and an item left, the shortest windows first
        lengths_U, order_U = windows.lengths_U.sort(stable=True)
        has_items_left_U = left_U.to(device)[order_U] > 0
        order_U = order_U[(lengths_U > 0) & has_items_left_U]
        scores_UX, items_UX = self._best(windows, numbers_U, order_U, wanted_K, k, excluded)

        is_ranked_U = torch.zeros(len(windows), dtype=torch.bool)
        is_ranked_U[order_U.cpu()] = True
        ranked = _sorted_rows(scores_UX, items_UX, self._notes(histories, is_ranked_U))
        # Items with a score that is not finite are dropped, so fewer than expected reveal one.
        expected_U = torch.where(is_ranked_U, left_U.clamp(max=k), 0)
        if not torch.equal(ranked.places_M.bincount(minlength=len(windows)), expected_U):
            raise DataError(
                "a score is NaN or infinite, so nothing can be recommended; export the bundle again."
            )
        return ranked

    def _best(
        self,
        windows: Windows,
        numbers_U: Tensor,
        order_U: Tensor,
        wanted_K: Tensor,
        k: int,
        excluded: Windows | None,
    ) -> tuple[Tensor, Tensor]:
        """Return scores and items of the best k items of each user in `order_U`, and zeros for all other users.

        Items of `excluded`, the histories of the same users, are none of them. Users of similar length share a batch,
        which is then cut to its longest window.
        """
        at_once = max(FEWEST_AT_ONCE, SCORES_AT_ONCE // (self.model.catalog.num_items + 1))
        score = self._scores(at_once)
        scores_UX = torch.zeros(len(windows), k)
        items_UX = torch.zeros(len(windows), k, dtype=torch.long)
        for order_B in order_U.split(USERS_AT_ONCE) if len(order_U) else ():
            batch = replace(windows.rows(order_B), users_B=numbers_U[order_B])
            batch = batch.with_final_target_set(wanted_K)
            batch = batch.newest(int(windows.lengths_U[order_B].max()))
            for rows_B, scores_BV in zip(order_B.split(at_once), score(batch), strict=True):
                _exclude(scores_BV, excluded, rows_B)
                best_BX, places_BX = scores_BV.topk(k)
                scores_UX[rows_B.cpu()] = best_BX.cpu()
                items_UX[rows_B.cpu()] = places_BX.cpu()
        return scores_UX, items_UX

    def _notes(self, histories: Histories, is_ranked_U: Tensor) -> list[str]:
        """Return notes on what was left out, and on users to whom nothing is recommended, one for each reason."""
        notes = []
        if not histories.users:
            notes.append("the histories have no user, so nothing is recommended")

        # Rows that were left out
        types = _first_few(list(histories.other_types))
        for reason, count in histories.left_out.items():
            fact = reason.replace("_", " ")
            if reason == "other_event" and types:
                fact = f"a type that is none of the behaviors ({types})"
            if count and reason == "seen_only":
                notes.append(
                    f"{count:,} rows are of items that were only seen, which are no part of a history"
                )
            elif count:
                notes.append(f"{count:,} rows have {fact} and are left out")

        # Items and users, by name
        is_new_U = [not self.is_known(user) for user in histories.users]
        has_known_U = histories.num_items_U > 0
        has_only_unknown_U = histories.has_row_U & ~has_known_U
        met_all_U = has_known_U & ~is_ranked_U.numpy()
        consequence = "and get no recommendation"
        named = {
            "items are not the model's and left out": histories.unknown_items,
            "users are new to the model and have the mean preference of all others": _where(
                histories.users, is_new_U
            ),
            f"users have only seen items, so they have no history {consequence}": _where(
                histories.users, ~histories.has_row_U & histories.has_seen_U
            ),
            f"users have no row with an item and a behavior {consequence}": _where(
                histories.users, ~histories.has_row_U & ~histories.has_seen_U
            ),
            f"users have no known item {consequence}": _where(histories.users, has_only_unknown_U),
            f"users have met or seen every item {consequence}, unless such ones may be recommended": _where(
                histories.users, met_all_U
            ),
        }
        for words, names in named.items():
            if names:
                notes.append(f"{len(names):,} {words}: {_first_few(names)}")
        return notes

    def _scores(self, at_once: int) -> Callable[[Batch], Iterator[Tensor]]:
        """Return a function that yields the scores_BV of a batch's users, `at_once` users at a time."""
        model = self.model
        if isinstance(model, DotProduct):
            vectors_DV = model.item_vectors().float().T
            return lambda batch: (
                states @ vectors_DV for states in model.final_states(batch).float().split(at_once)
            )
        return lambda batch: map(model.scores, batch.split(at_once))

    def _target_set(self, target: Collection[str] | None) -> Tensor:
        """Return wanted_K, the set of the wanted behaviors, on the model's device."""
        catalog = self.model.catalog
        names = catalog.behaviors
        if target is None:
            default_K = catalog.told_set("mode" if self.target_set == "mode" else "constant")
            return torch.from_numpy(default_K).to(self.model.device)
        if not target:
            raise ConfigError("target must name at least one behavior.")
        for name in target:
            if name not in names:
                raise ConfigError(f"unknown behavior {name!r}. {guess(name, names)}")
        is_wanted = [name in target for name in names]
        return torch.tensor(is_wanted, dtype=torch.uint8, device=self.model.device)


def _exclude(scores_BV: Tensor, windows: Windows | None, order_B: Tensor) -> None:
    """Give padding and all items of each user's history the lowest score, in place."""
    scores_BV[:, 0] = -torch.inf
    if windows is not None:
        longest = int((windows.ends_U - windows.starts_U)[order_B].max())
        scores_BV.scatter_(1, windows.inputs(order_B, longest), -torch.inf)


def _sorted_rows(scores_UX: Tensor, items_UX: Tensor, notes: Sequence[str]) -> Recommendations:
    """Return sorted recommendations; of items with equal scores the one with the smaller number comes first."""
    order_UX = torch.from_numpy(np.lexsort((items_UX.numpy(), -scores_UX.numpy())))
    scores_UX, items_UX = scores_UX.gather(1, order_UX), items_UX.gather(1, order_UX)
    is_item_UX = (items_UX > 0) & scores_UX.isfinite()
    places_M, columns_M = is_item_UX.nonzero(as_tuple=True)
    return Recommendations(
        places_M, items_UX[is_item_UX], columns_M + 1, scores_UX[is_item_UX], notes
    )


def _where(users: Sequence[str], mask_U: Iterable[bool]) -> list[str]:
    return [user for user, is_meant in zip(users, mask_U, strict=True) if is_meant]


def _first_few(names: Sequence[str]) -> str:
    """Return the first names of a list as text that is safe to print on a terminal."""
    text = ", ".join(map(printable, names[:SHOWN]))
    return f"{text}, ..." if len(names) > SHOWN else text
