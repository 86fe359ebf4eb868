"""A bundle at work: recommendations for users by their histories. Imports no optuna."""

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
from blade_tune.errors import ConfigError
from blade_tune.export.bundle import load_model, read_ids
from blade_tune.export.histories import Histories, Interaction, histories_of
from blade_tune.layers.table import UserTable
from blade_tune.models.base import DotProduct
from blade_tune.models.base import Recommender as Model

USERS_AT_ONCE = 512  # whose states are computed together
SCORES_AT_ONCE = 2**20  # of users and items, float32: what fits a CPU's cache; docs/performance.md has the measurement
FEWEST_AT_ONCE = 16  # users that are scored together, however many the items: vectors are read once for them all


@dataclass(frozen=True)
class Recommendations:
    """The best items of some users, M rows: user after user, best first."""

    places_M: Tensor  # of the user among the histories
    items_M: Tensor  # numbers of the model
    ranks_M: Tensor  # from 1
    scores_M: Tensor


class Recommender:
    """A trained model with the ids of its users and items.

    Args:
        model: in evaluation mode.
        log: how logs of its data are read.
        users: the ids of its users 1, 2, ...
        items: the ids of its items 1, 2, ...
    """

    def __init__(self, model: Model, log: LogFormat, users: Sequence[str], items: Sequence[str]) -> None:
        self.model, self.log, self.items = model, log, list(items)
        self.item_numbers = {name: number for number, name in enumerate(items, start=1)}
        self._user_numbers = {name: number for number, name in enumerate(users, start=1)}
        for table in model.modules():
            if isinstance(table, UserTable):
                table.settle_unknown()

    @classmethod
    def load(cls, folder: Path | str, device: torch.device | str = "cpu") -> Self:
        """Read a bundle that export-best wrote.

        Raises:
            DataError: a file of it is missing or not as it was written.
        """
        folder = Path(folder)
        model, log = load_model(folder)
        return cls(model.to(device), log, read_ids(folder / "users.csv"), read_ids(folder / "items.csv"))

    def recommend(
        self,
        histories: Mapping[str, Sequence[Interaction]],
        target: Collection[str] | None = None,
        k: int = 10,
        *,
        include_seen: bool = False,
    ) -> dict[str, list[tuple[str, float]]]:
        """The best k items of each user with their scores, best first; none for a user without a known item.

        Args:
            histories: user -> interactions, oldest first, each an item and its behaviors; users may be unknown.
            target: the behaviors that are hoped for; all but the auxiliary one by default.
            k: items a user; fewer where not so many are left.
            include_seen: whether items of the history may be recommended again.

        Raises:
            ConfigError: a behavior is none of the model's, or k is below 1.
        """
        given = histories_of(histories, self.item_numbers, self.log.behaviors)
        found = self.rank(given, target, k, include_seen=include_seen)
        lists: dict[str, list[tuple[str, float]]] = {user: [] for user in histories}
        rows = zip(found.places_M.tolist(), found.items_M.tolist(), found.scores_M.tolist(), strict=True)
        for place, item, score in rows:
            lists[given.users[place]].append((self.items[item - 1], score))
        return lists

    def is_known(self, user: str) -> bool:
        """Whether the model was trained on this user; it has the mean preference of all others else."""
        return user in self._user_numbers

    @torch.inference_mode()
    def rank(
        self, histories: Histories, target: Collection[str] | None, k: int, *, include_seen: bool = False
    ) -> Recommendations:
        """As `recommend`, in tensors on the CPU."""
        if k < 1:
            raise ConfigError(f"k must be at least 1, got {k}.")
        told_K = self._told(target)
        device = told_K.device
        windows = histories.windows(self.model.max_length).to(device)
        numbers_U = torch.tensor([self._user_numbers.get(user, 0) for user in histories.users], device=device)
        lengths_U, order_U = windows.lengths_U.sort(stable=True)
        order_U = order_U[lengths_U > 0]
        num_items = self.model.catalog.num_items
        k = min(k, num_items)
        at_once = max(FEWEST_AT_ONCE, SCORES_AT_ONCE // (num_items + 1))
        score = self._scores(at_once)
        scores_UX, items_UX = torch.zeros(len(windows), k), torch.zeros(len(windows), k, dtype=torch.long)
        for order_B in order_U.split(USERS_AT_ONCE):
            batch = replace(windows.rows(order_B), users_B=numbers_U[order_B]).with_final_target_set(told_K)
            batch = batch.newest(int(windows.lengths_U[order_B].max()))
            for rows_B, scores_BV in zip(order_B.split(at_once), score(batch), strict=True):
                _exclude(scores_BV, windows, rows_B, include_seen=include_seen)
                best_BX, places_BX = scores_BV.topk(k)
                scores_UX[rows_B.cpu()], items_UX[rows_B.cpu()] = best_BX.cpu(), places_BX.cpu()
        return _listed(scores_UX, items_UX)

    def _scores(self, at_once: int) -> Callable[[Batch], Iterator[Tensor]]:
        """From the users of a batch to their scores_BV, of so many users at once."""
        model = self.model
        if isinstance(model, DotProduct):
            vectors_DV = model.item_vectors().float().T
            return lambda batch: (states @ vectors_DV for states in model.final_states(batch).float().split(at_once))
        return lambda batch: map(model.scores, batch.split(at_once))

    def _told(self, target: Collection[str] | None) -> Tensor:
        """told_K, on the model's device."""
        catalog = self.model.catalog
        names = catalog.behaviors
        if target is None:
            target = [name for k, name in enumerate(names) if k != catalog.auxiliary]
        if not target:
            raise ConfigError("target must name at least one behavior.")
        for name in target:
            if name not in names:
                raise ConfigError(f"unknown behavior {name!r}. {guess(name, names)}")
        return torch.tensor([name in target for name in names], dtype=torch.uint8, device=self.model.device)


def _exclude(scores_BV: Tensor, windows: Windows, order_B: Tensor, *, include_seen: bool) -> None:
    """Take padding out of the ranking, and the whole history of each user."""
    scores_BV[:, 0] = -torch.inf
    if not include_seen:
        longest = int((windows.ends_U - windows.starts_U)[order_B].max())
        scores_BV.scatter_(1, windows.inputs(order_B, longest), -torch.inf)


def _listed(scores_UX: Tensor, items_UX: Tensor) -> Recommendations:
    """Rows of what was found; of equal scores the item with the smaller number comes first."""
    order_UX = torch.from_numpy(np.lexsort((items_UX.numpy(), -scores_UX.numpy())))
    scores_UX, items_UX = scores_UX.gather(1, order_UX), items_UX.gather(1, order_UX)
    found_UX = (items_UX > 0) & scores_UX.isfinite()
    places_M, columns_M = found_UX.nonzero(as_tuple=True)
    return Recommendations(places_M, items_UX[found_UX], columns_M + 1, scores_UX[found_UX])
