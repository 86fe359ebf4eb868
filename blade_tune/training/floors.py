"""What recommending without any model reaches: the floor under every table."""

import torch
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.data.table import Part
from blade_tune.training.evaluation import Evaluator


def popularity_floors(evaluator: Evaluator, train: Part, auxiliary: int) -> dict[str, dict[str, float]]:
    """Metrics of three rankings by counts of train rows, under the evaluator's exclusions.

    `all` counts every row of an item, `target` those with a target behavior, and `target_set` those that share a target
    behavior with the set of the item to predict.
    """
    sets_NK = torch.as_tensor(train.sets_NK.copy(), dtype=torch.float64)
    items_N = torch.as_tensor(train.items_N.copy(), dtype=torch.int64)
    target_NK = sets_NK.clone()
    target_NK[:, auxiliary] = 0.0
    counts_VK = torch.zeros(evaluator.num_items + 1, sets_NK.shape[1], dtype=torch.float64)
    counts_VK.index_add_(0, items_N, target_NK)
    rows_V = torch.bincount(items_N, minlength=evaluator.num_items + 1).double()
    target_rows_V = torch.bincount(items_N, weights=target_NK.amax(dim=1), minlength=evaluator.num_items + 1)

    def by_set(batch: Batch) -> Tensor:
        told_BK = batch.target_sets_BLK[:, -1].double()
        told_BK[:, auxiliary] = 0.0
        return told_BK @ counts_VK.T

    return {
        "all": evaluator.measure(lambda batch: rows_V.expand(len(batch), -1)).metrics,
        "target": evaluator.measure(lambda batch: target_rows_V.expand(len(batch), -1)).metrics,
        "target_set": evaluator.measure(by_set).metrics,
    }
