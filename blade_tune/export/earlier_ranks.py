"""Ranks of an earlier bundle's model on newer rows, whose users and items have other numbers there, or none."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.catalog import Catalog
from blade_tune.data.sequences import rows_with, windows
from blade_tune.data.table import Part
from blade_tune.metrics import UNREACHABLE
from blade_tune.models.base import RecommenderModel
from blade_tune.training.config import EvaluationConfig
from blade_tune.training.evaluation import Evaluator


@dataclass(frozen=True)
class EarlierNumbers:
    """Numbers that users and items of newer data have in an earlier model."""

    users_U: NDArray[np.int64]  # 0 for a user who is new; index 0 is padding
    items_V: NDArray[np.int64]  # 0 for an item that is new; index 0 is padding
    gone_X: NDArray[np.int64]  # items of the earlier model that newer data does not have

    @classmethod
    def of(
        cls,
        users: tuple[Sequence[str], Sequence[str]],
        items: tuple[Sequence[str], Sequence[str]],
    ) -> Self:
        """Match users and items by their ids in the log.

        Args:
            users: ids of the users 1, 2, ... of the newer data, and of the earlier model.
            items: the same of items.
        """
        known = set(items[0])
        gone = [number for number, item in enumerate(items[1], start=1) if item not in known]
        return cls(_numbers(*users), _numbers(*items), np.array(gone, np.int64))


def _numbers(ids: Sequence[str], earlier: Sequence[str]) -> NDArray[np.int64]:
    numbers = {name: number for number, name in enumerate(earlier, start=1)}
    return np.array([0, *(numbers.get(name, 0) for name in ids)], np.int64)


@dataclass(frozen=True)
class NewestRows:
    """A row of each user that is to be predicted, and all rows before it, under the numbers of the newer data."""

    parts: Sequence[Part]  # in order of time; the rows to predict are the last part
    catalog: Catalog
    objective: EvaluationConfig  # the protocol
    device: torch.device

    @property
    def rows_U(self) -> Tensor:
        """The users who have a row to predict, as rows of the windows."""
        return rows_with(self.parts[-1])

    def evaluator(self, max_length: int) -> Evaluator:
        """Return what ranks a model of the newer data, made for windows of a length."""
        seen = windows(self.parts, self.catalog.num_users, max_length).to(self.device)
        return Evaluator(seen, self.rows_U, self.catalog, self.objective)


class EarlierEvaluator(Evaluator):
    """What ranks an earlier model on newer rows, under the protocol by which a model of the newer data is ranked.

    It sees the same histories, without items that it does not know. Items that are excluded for a user are those that
    are excluded for the newer model, and what newer data does not have any more is no candidate, so that both models
    rank the same items, as far as the earlier one knows them. Rows whose item it does not know are left out.

    Args:
        rows: the newest rows.
        numbers: of users and items in the earlier model.
        max_length: of the windows of both models.
        catalog: the earlier model's catalog.
    """

    def __init__(
        self, rows: NewestRows, numbers: EarlierNumbers, max_length: int, catalog: Catalog
    ) -> None:
        device = rows.device
        parts = [_renumbered(part, numbers.items_V) for part in rows.parts]
        known_U = rows_with(parts[-1])
        histories = windows(parts, rows.catalog.num_users, max_length).to(device)
        # What is told comes from the newer data's catalog, below
        untold = rows.objective.model_copy(update={"target_set": "truth"})
        super().__init__(histories, known_U, catalog, untold)
        seen = windows(rows.parts, rows.catalog.num_users, max_length).to(device)
        self.newer = Evaluator(seen, known_U, rows.catalog, rows.objective)
        self.told_set_K = self.newer.told_set_K
        self._users_U = torch.from_numpy(numbers.users_U).to(device)
        self._items_V = torch.from_numpy(numbers.items_V).to(device)
        self._gone_X = torch.from_numpy(numbers.gone_X).to(device)

    def batch(self, order_B: Tensor) -> Batch:
        """Return the windows of some users, under the earlier model's numbers of users."""
        batch = super().batch(order_B)
        return replace(batch, users_B=self._users_U[batch.users_B])

    def excluded(self, order_B: Tensor) -> Tensor:
        """Return items_BX: what is excluded for the newer model, and items that are gone."""
        items_BX = self._items_V[self.newer.excluded(order_B)]
        return torch.cat((items_BX, self._gone_X.expand(len(order_B), -1)), dim=1)


def earlier_ranks(
    model: RecommenderModel, rows: NewestRows, numbers: EarlierNumbers
) -> tuple[Tensor, Tensor]:
    """Rank the newest rows with an earlier model.

    Returns:
        ranks_U of all users with a row to predict, UNREACHABLE where the model does not know the item; and the mask
        knows_U of where it does.
    """
    evaluator = EarlierEvaluator(rows, numbers, model.max_length, model.catalog)
    knows_U = torch.isin(rows.rows_U, evaluator.rows_U.cpu())
    ranks_U = torch.full((len(knows_U),), UNREACHABLE)
    if knows_U.any():
        ranks_U[knows_U] = evaluator(model).ranks_U
    return ranks_U, knows_U


def _renumbered(part: Part, items_V: NDArray[np.int64]) -> Part:
    """Return the rows of a part whose item an earlier model knows, with its numbers of items."""
    items_N = items_V[part.items_N].astype(np.int32)
    return Part(part.users_N, items_N, part.sets_NK).rows(items_N > 0)
