"""Evaluation of a model: one held-out item per user is ranked among all items of the catalog, without sampling."""

from dataclasses import dataclass

import torch
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.catalog import Catalog
from blade_tune.data.sequences import Windows
from blade_tune.metrics import summarize
from blade_tune.models.base import DotProduct, RecommenderModel
from blade_tune.training.config import EvaluationConfig
from blade_tune.training.ranking import Ranking

USERS_AT_ONCE = 512  # users whose states are computed in one batch


@dataclass(frozen=True)
class Evaluation:
    """The result of one evaluation."""

    metrics: dict[str, float]  # means over users, by the metric's name
    ranks_U: Tensor  # rank of each user's held-out item, from 0 (see `Ranking`), on the CPU


class Evaluator:
    """A function that evaluates models on fixed users: it ranks the last target of each user's window among all items.

    Args:
        windows: one window per user, on the device to rank on.
        rows_U: the rows of `windows` that have an item to predict; ranks are returned in this order.
        catalog: the data set's catalog.
        config: the protocol: which items are excluded, and what models are told of the item to predict.
    """

    def __init__(
        self, windows: Windows, rows_U: Tensor, catalog: Catalog, config: EvaluationConfig
    ) -> None:
        self.windows = windows
        self.rows_U = rows_U.to(windows.device)
        self.exclude = config.exclude
        self.ranking = Ranking(windows.targets(self.rows_U), catalog.num_items)

        # The behavior set that models are told of every target; None: each one's own.
        set_K = catalog.told_set(config.target_set)
        self.told_set_K = None if set_K is None else torch.from_numpy(set_K).to(windows.device)

        # Users in order of their window's length, and the longest window of each batch of them, for `states`.
        lengths_U, self.order_U = windows.lengths_U[self.rows_U].sort(stable=True)
        batches = lengths_U.split(USERS_AT_ONCE)
        self.longest = [int(lengths_B[-1]) for lengths_B in batches if len(lengths_B)]

    @torch.inference_mode()
    def __call__(self, model: RecommenderModel) -> Evaluation:
        """Evaluate a model, in evaluation mode; its mode is restored afterwards.

        Raises:
            NonFiniteError: a score is NaN or infinite.
        """
        was_training = model.training
        model.eval()
        ranks_U = self._ranks(model).cpu() if len(self.rows_U) else self.rows_U.cpu()
        model.train(was_training)
        return Evaluation(summarize(ranks_U), ranks_U)

    def _ranks(self, model: RecommenderModel) -> Tensor:
        """Return ranks_U, by products of states and item vectors where a model's scores are such, which is faster."""
        if isinstance(model, DotProduct):
            return self.ranking(self.states(model), model.item_vectors(), self.excluded)

        def scores(order_B: Tensor) -> Tensor:
            return model.scores(self.batch(order_B))

        return self.ranking.of_scores(scores, self.excluded)

    def states(self, model: DotProduct) -> Tensor:
        """Return states_UD: the model's final state of each user, in the order of `rows_U`.

        Users are taken in order of their window's length, and each batch is cut to its longest window, so that hardly
        any padding is computed.
        """
        states = []
        batches = self.order_U.split(USERS_AT_ONCE)
        for order_B, longest in zip(batches, self.longest, strict=True):
            batch = self.batch(order_B).newest(longest)
            states.append(model.final_states(batch).float())
        states_UD = torch.cat(states)

        # Put the states back in the order of `rows_U`.
        return torch.empty_like(states_UD).index_copy_(0, self.order_U, states_UD)

    def batch(self, order_B: Tensor) -> Batch:
        """Return the windows of some users as models see them, with the behavior set that the protocol tells.

        Args:
            order_B: the users, as places in `rows_U`.
        """
        batch = self.windows.rows(self.rows_U[order_B])
        if self.told_set_K is None:
            return batch
        return batch.with_final_target_set(self.told_set_K)

    def sample(self, size: int, generator: torch.Generator) -> Batch:
        """Return the windows of some users drawn without replacement, as models see them in ranking.

        Args:
            size: how many users; all of them if there are no more.
            generator: of the draw, on the CPU.
        """
        order_B = torch.randperm(len(self.rows_U), generator=generator)[:size]
        return self.batch(order_B.to(self.rows_U.device))

    def excluded(self, order_B: Tensor) -> Tensor:
        """Return items_BX: the items that are not ranked for some users, padded with 0.

        Args:
            order_B: the users, as places in `rows_U`.
        """
        rows_B = self.rows_U[order_B]
        if self.exclude == "none":
            return rows_B.new_zeros(len(rows_B), 1)
        length = self.windows.max_length
        if self.exclude == "full":
            histories_U = self.windows.ends_U - self.windows.starts_U
            length = int(histories_U[rows_B].max())
        return self.windows.inputs(rows_B, length)
