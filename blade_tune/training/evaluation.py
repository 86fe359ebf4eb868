"""Full ranking of one held-out item a user."""

from dataclasses import dataclass

import torch
from torch import Tensor

from blade_tune.batch import Batch, Catalog
from blade_tune.data.sequences import Windows
from blade_tune.metrics import summarize
from blade_tune.models.base import DotProduct, RecommenderModel
from blade_tune.training.config import EvaluationConfig
from blade_tune.training.ranking import Ranking

USERS_AT_ONCE = 512


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

    @torch.inference_mode()
    def __call__(self, model: RecommenderModel) -> Evaluation:
        """Rank with the model in evaluation mode; the model's mode is left as it was."""
        was_training = model.training
        model.eval()
        ranks_U = self._ranks(model).cpu() if len(self.rows_U) else self.rows_U.cpu()
        model.train(was_training)
        return Evaluation(summarize(ranks_U), ranks_U)

    def _ranks(self, model: RecommenderModel) -> Tensor:
        if isinstance(model, DotProduct):
            return self.ranking(self.states(model), model.item_vectors(), self.excluded)
        return self.ranking.of_scores(lambda order_B: model.scores(self._told(order_B)), self.excluded)

    def states(self, model: DotProduct) -> Tensor:
        """states_UD of all users, computed in pieces of similar length, so that hardly any padding is computed."""
        pieces = zip(self.order_U.split(USERS_AT_ONCE), self.longest, strict=True)
        states_UD = torch.cat(
            [model.final_states(self._told(order_B).newest(longest)).float() for order_B, longest in pieces]
        )
        return torch.empty_like(states_UD).index_copy_(0, self.order_U, states_UD)

    def _told(self, order_B: Tensor) -> Batch:
        """What models see of the given users."""
        batch = self.windows.rows(self.rows_U[order_B])
        return batch if self.told_K is None else batch.with_final_target_set(self.told_K)

    def excluded(self, order_B: Tensor) -> Tensor:
        """items_BX of the given users that are never ranked; 0 is padding."""
        rows_B = self.rows_U[order_B]
        length = self.windows.max_length
        if self.exclude == "full":
            length = int((self.windows.ends_U - self.windows.starts_U)[rows_B].max())
        return self.windows.inputs(rows_B, length)
