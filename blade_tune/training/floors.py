"""What recommending without any model reaches: the floor under every table."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blade_tune.batch import Batch, Catalog
from blade_tune.data.sequences import rows_with
from blade_tune.data.store import SearchData
from blade_tune.data.table import Part
from blade_tune.models.base import ModelConfig
from blade_tune.training.config import EvaluationConfig
from blade_tune.training.evaluation import Evaluator


@dataclass(frozen=True)
class Popularity:
    """Scores items by their places in an order of popularity: one order for each told set, and one for all others.

    Places are whole numbers, equal for equal counts, so they are exact in float32.
    """

    sets_SK: Tensor  # with an order of their own
    places_VS: Tensor  # of each item in these orders, the last column in that of all other sets

    def final_states(self, batch: Batch) -> Tensor:
        """states_BD, D one more than S: 1 for the order to rank by, 0 for the others."""
        sets_SK = self.sets_SK.to(batch.target_sets_BLK)
        same_BS = (batch.target_sets_BLK[:, -1:] == sets_SK).all(dim=-1)
        return torch.cat((same_BS, ~same_BS.any(dim=1, keepdim=True)), dim=1).float()

    def item_vectors(self) -> Tensor:
        """vectors_VD: the places."""
        return self.places_VS


def popularity_floors(train: Part, num_items: int, auxiliary: int) -> dict[str, Popularity]:
    """Three rankings by counts of train rows, as an Evaluator measures.

    `all` counts every row of an item, `target` those with a target behavior, and `target_set` those with the very set
    of the item to predict, equal counts in the order of `target`.
    """
    items_N = train.items_N.astype(np.int64)
    target_rows_N = np.delete(train.sets_NK, auxiliary, axis=1).any(axis=1)
    rows_V = np.bincount(items_N, minlength=num_items + 1)
    target_rows_V = np.bincount(items_N[target_rows_N], minlength=num_items + 1)

    bits_K = 1 << np.arange(train.sets_NK.shape[1])
    codes_N = train.sets_NK @ bits_K  # a number a set
    codes_S = np.bincount(codes_N).nonzero()[0]
    sets_SK = (codes_S[:, None] & bits_K > 0).astype(np.uint8)
    counts_SV = np.stack([np.bincount(items_N[codes_N == code], minlength=num_items + 1) for code in codes_S])
    by_set_SV = counts_SV * (target_rows_V.max() + 1) + target_rows_V
    return {
        "all": _popularity(sets_SK[:0], rows_V[None]),
        "target": _popularity(sets_SK[:0], target_rows_V[None]),
        "target_set": _popularity(sets_SK, np.vstack((by_set_SV, target_rows_V))),
    }


def measure_floors(evaluator: Evaluator, train: Part, catalog: Catalog) -> dict[str, dict[str, float]]:
    """The metrics that each of these rankings reaches."""
    floors = popularity_floors(train, catalog.num_items, catalog.auxiliary)
    return {name: evaluator.measure(floor).metrics for name, floor in floors.items()}


def valid_floors(data: SearchData, evaluation: EvaluationConfig) -> dict[str, dict[str, float]]:
    """The same on the valid rows of a data set; windows are as long as a model's are by default."""
    windows = data.windows("valid", ModelConfig.model_fields["max_length"].default)
    return measure_floors(Evaluator(windows, rows_with(data.valid), data.catalog, evaluation), data.train, data.catalog)


def _popularity(sets_SK: NDArray[np.uint8], counts_SV: NDArray[np.int64]) -> Popularity:
    places_VS = np.stack([np.unique(counts_V, return_inverse=True)[1] for counts_V in counts_SV], axis=1)
    return Popularity(torch.from_numpy(sets_SK), torch.from_numpy(places_VS).float())
