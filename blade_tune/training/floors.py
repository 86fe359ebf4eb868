"""What recommending without any model reaches: the floor under every table."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.data.table import Part

Scorer = Callable[[Batch], Tensor]


def popularity_scorers(train: Part, num_items: int, auxiliary: int) -> dict[str, Scorer]:
    """Three rankings by counts of train rows, each a function from a batch to scores_BV, as an Evaluator measures.

    `all` counts every row of an item, `target` those with a target behavior, and `target_set` those with the very set
    of the item to predict, equal counts in the order of `target`.
    """
    V = num_items + 1
    items_N = train.items_N.astype(np.int64)
    target_rows_N = np.delete(train.sets_NK, auxiliary, axis=1).any(axis=1)
    rows_V = torch.as_tensor(np.bincount(items_N, minlength=V)).double()
    target_rows_V = torch.as_tensor(np.bincount(items_N[target_rows_N], minlength=V)).double()

    sets_SK, set_N = np.unique(train.sets_NK, axis=0, return_inverse=True)
    counts_SV = torch.as_tensor(np.bincount(set_N * V + items_N, minlength=len(sets_SK) * V)).double().view(-1, V)
    counts_SV += target_rows_V / (target_rows_V.sum() + 1.0)  # below 1, so it only orders equal counts

    def by_set(batch: Batch) -> Tensor:
        told_BK = batch.target_sets_BLK[:, -1].cpu()
        same_BS = (told_BK[:, None] == torch.as_tensor(sets_SK)).all(dim=-1)
        unknown_B1 = ~same_BS.any(dim=1, keepdim=True)
        scores_BV = same_BS.double() @ counts_SV + unknown_B1 * target_rows_V
        return scores_BV.to(batch.users_B.device)

    def always(scores_V: Tensor) -> Scorer:
        return lambda batch: scores_V.to(batch.users_B.device).expand(len(batch), -1)

    return {"all": always(rows_V), "target": always(target_rows_V), "target_set": by_set}
