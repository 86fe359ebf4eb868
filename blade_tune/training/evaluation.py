"""Full ranking of one held-out item a user."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from blade_tune.batch import Batch, Catalog
from blade_tune.data.sequences import Windows
from blade_tune.metrics import summarize
from blade_tune.models.base import Recommender
from blade_tune.training.config import EvaluationConfig
from blade_tune.training.ranking import Ranking

USERS_AT_ONCE = 512


class Scorer(Protocol):
    """What can be ranked by: the score of an item is the product of its vector with the user's state."""

    def final_states(self, batch: Batch) -> Tensor:
        """states_BD of the users of a batch."""

    def item_vectors(self) -> Tensor:
        """vectors_VD of all items."""


@dataclass(frozen=True)
class Evaluation:
    """What one ranking gave: means over users, and the rank of each user's item (see `Ranking`)."""

    metrics: dict[str, float]
    ranks_U: Tensor


class Evaluator:
    """Ranks the last target of the given windows among all items.

    Args:
        windows: on the device to rank on.
        rows_U: the rows of the windows that have an item to predict; ranks come in their order.
        catalog: of the data set.
        config: what is excluded and what models are told.
    """

    def __init__(self, windows: Windows, rows_U: Tensor, catalog: Catalog, config: EvaluationConfig) -> None:
        self.windows = windows
        self.rows_U = rows_U.to(windows.device)
        self.exclude = config.exclude
        self.told_K: Tensor | None = None
        if config.target_set == "constant":
            self.told_K = torch.ones(catalog.num_behaviors, dtype=torch.uint8, device=windows.device)
            self.told_K[catalog.auxiliary] = 0
        lengths_U, self.order_U = windows.lengths_U[self.rows_U].sort(stable=True)
        self.longest = [int(lengths_B[-1]) for lengths_B in lengths_U.split(USERS_AT_ONCE) if len(lengths_B)]
        self.ranking = Ranking(windows.targets(self.rows_U), catalog.num_items)

    def __call__(self, model: Recommender) -> Evaluation:
        """Rank with the model in evaluation mode; the model's mode is left as it was."""
        was_training = model.training
        model.eval()
        evaluation = self.measure(model)
        model.train(was_training)
        return evaluation

    @torch.inference_mode()
    def measure(self, scorer: Scorer) -> Evaluation:
        """Rank by anything that has a state for each user and a vector for each item."""
        ranks_U = self.rows_U
        if len(ranks_U):
            ranks_U = self.ranking(self.states(scorer), scorer.item_vectors(), self.excluded).cpu()
        return Evaluation(summarize(ranks_U), ranks_U)

    def states(self, scorer: Scorer) -> Tensor:
        """states_UD of all users, computed in pieces of similar length, so that hardly any padding is computed."""
        pieces = zip(self.order_U.split(USERS_AT_ONCE), self.longest, strict=True)
        states_UD = torch.cat(
            [scorer.final_states(self._told(order_B, longest)).float() for order_B, longest in pieces]
        )
        return torch.empty_like(states_UD).index_copy_(0, self.order_U, states_UD)

    def _told(self, order_B: Tensor, longest: int) -> Batch:
        """What models see of the given users."""
        batch = self.windows.rows(self.rows_U[order_B])
        if self.told_K is not None:
            batch = batch.with_final_target_set(self.told_K)
        return batch.newest(longest)

    def excluded(self, order_B: Tensor) -> Tensor:
        """items_BX of the given users that are never ranked; 0 is padding."""
        rows_B = self.rows_U[order_B]
        length = self.windows.max_length
        if self.exclude == "full":
            length = int((self.windows.ends_U - self.windows.starts_U)[rows_B].max())
        return self.windows.inputs(rows_B, length)
