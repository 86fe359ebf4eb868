"""Full ranking of one held-out item a user."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blade_tune.batch import Batch, Catalog
from blade_tune.metrics import ranks, summarize
from blade_tune.models.base import Recommender
from blade_tune.training.config import EvaluationConfig

USERS_AT_ONCE = 512


@dataclass(frozen=True)
class Evaluation:
    """What one ranking gave: means over users, and the rank of each user's item (see `ranks`)."""

    metrics: dict[str, float]
    ranks_U: Tensor


class Evaluator:
    """Ranks the last target of every window among all items.

    Args:
        windows: users that have an item to predict, in ascending order of user.
        known_keys: sorted keys user * (num_items + 1) + item of whole histories, for `exclude: full`.
        catalog: of the data set.
        config: what is excluded and what models are told.
    """

    def __init__(
        self, windows: Batch, known_keys: NDArray[np.int64], catalog: Catalog, config: EvaluationConfig
    ) -> None:
        self.num_items = catalog.num_items
        self.known_keys = torch.as_tensor(np.array(known_keys)) if config.exclude == "full" else None
        if config.target_set == "constant":
            constant_K = torch.ones(catalog.num_behaviors, dtype=torch.uint8)
            constant_K[catalog.auxiliary] = 0
            windows = windows.with_final_target_set(constant_K)
        self.windows = windows

    def to(self, device: torch.device) -> "Evaluator":
        """Move what is ranked to a device, once."""
        self.windows = self.windows.to(device)
        self.known_keys = None if self.known_keys is None else self.known_keys.to(device)
        return self

    def __call__(self, model: Recommender) -> Evaluation:
        """Rank with the model in evaluation mode, float32 scores; the model's mode is left as it was."""
        was_training = model.training
        model.eval()
        evaluation = self.measure(model.scores)
        model.train(was_training)
        return evaluation

    @torch.inference_mode()
    def measure(self, score: Callable[[Batch], Tensor]) -> Evaluation:
        """Rank by any function from a batch to scores_BV."""
        rows_U = torch.arange(len(self.windows), device=self.windows.users_B.device)
        ranks_U = torch.cat(
            [torch.empty(0, dtype=torch.int64)]
            + [self._rank(score, self.windows.rows(rows_B)).cpu() for rows_B in rows_U.split(USERS_AT_ONCE)]
        )
        return Evaluation(summarize(ranks_U), ranks_U)

    def _rank(self, score: Callable[[Batch], Tensor], batch: Batch) -> Tensor:
        return ranks(score(batch), batch.target_items_BL[:, -1], self.excluded(batch))

    def excluded(self, batch: Batch) -> Tensor:
        """excluded_BV of rows of the windows: items that are never ranked."""
        excluded_BV = torch.zeros(len(batch), self.num_items + 1, dtype=torch.bool, device=batch.users_B.device)
        excluded_BV.scatter_(1, batch.items_BL, value=True)
        if self.known_keys is not None:
            width = self.num_items + 1
            ends_2 = torch.stack((batch.users_B[0] * width, (batch.users_B[-1] + 1) * width))
            first, last = torch.searchsorted(self.known_keys, ends_2).tolist()
            users_N, items_N = self.known_keys[first:last] // width, self.known_keys[first:last] % width
            rows_N = torch.searchsorted(batch.users_B, users_N)
            in_batch_N = batch.users_B[rows_N] == users_N
            excluded_BV[rows_N[in_batch_N], items_N[in_batch_N]] = True
        return excluded_BV
