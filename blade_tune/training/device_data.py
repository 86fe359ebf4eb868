"""A data set's tensors on the device, ready for any model of one window length."""

from dataclasses import dataclass

import numpy as np
import torch

from blade_tune.batch import Batch
from blade_tune.data.sequences import rows_with
from blade_tune.data.store import SearchData
from blade_tune.training.config import EvaluationConfig
from blade_tune.training.evaluation import Evaluator
from blade_tune.training.negatives import NegativeSampler


def resolve_device(name: str) -> torch.device:
    """`auto` is the first GPU, or the CPU where there is none."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


@dataclass(frozen=True)
class DeviceData:
    """What a training reads."""

    windows: Batch
    negatives: NegativeSampler
    evaluator: Evaluator

    @classmethod
    def for_search(
        cls, data: SearchData, max_length: int, evaluation: EvaluationConfig, device: torch.device
    ) -> "DeviceData":
        """Train rows to train on, valid rows to validate on."""
        keys = data.user_item_keys()
        valid = data.windows("valid", max_length).rows(rows_with(data.valid))
        return cls(
            data.windows("train", max_length).to(device),
            NegativeSampler(keys, data.num_items, device),
            Evaluator(valid, keys, data.catalog, evaluation).to(device),
        )

    @classmethod
    def with_valid_rows(
        cls, data: SearchData, max_length: int, evaluation: EvaluationConfig, device: torch.device
    ) -> "DeviceData":
        """Valid rows are trained on too, so the evaluator's figures mean nothing."""
        valid_keys = data.valid.users_N.astype(np.int64) * (data.num_items + 1) + data.valid.items_N
        keys = np.union1d(data.user_item_keys(), valid_keys)
        search = cls.for_search(data, max_length, evaluation, device)
        windows = data.windows("valid", max_length).to(device)
        return cls(windows, NegativeSampler(keys, data.num_items, device), search.evaluator)
