"""A data set's tensors on the device, ready for any model of one window length."""

from dataclasses import dataclass, field

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from blade_tune.batch import Catalog, Interactions
from blade_tune.data.sequences import Windows, in_user_order, rows_with
from blade_tune.data.store import SearchData
from blade_tune.data.table import unmet_before, user_item_keys
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
    """What a training or a fit reads."""

    rows: Interactions  # all that may be learned from, in order of users
    windows: Windows  # of the same, on the device
    negatives: NegativeSampler
    evaluator: Evaluator
    catalog: Catalog
    found: dict[tuple[str, int], Tensor] = field(default_factory=dict)  # what `item_factors` gave so far

    def item_factors(self, name: str, size: int) -> Tensor:
        """factors_VD of the rows by their name (see item_factors.FACTORS), found once; the same on every machine."""
        if (name, size) not in self.found:
            from blade_tune.models.item_factors import FACTORS  # scipy and implicit, which others do without

            with threadpool_limits(1, "blas"):
                self.found[name, size] = torch.from_numpy(FACTORS[name](self.rows, self.catalog, size))
        return self.found[name, size]

    @classmethod
    def for_search(
        cls, data: SearchData, max_length: int, evaluation: EvaluationConfig, device: torch.device
    ) -> "DeviceData":
        """Train rows to train on, valid rows to validate on."""
        valid = data.windows("valid", max_length).to(device)
        return cls(
            data.train,
            data.windows("train", max_length).to(device),
            NegativeSampler(data.user_item_keys().to(device), data.unmet_before().to(device), data.num_items),
            Evaluator(valid, rows_with(data.valid), data.catalog, evaluation),
            data.catalog,
        )

    @classmethod
    def with_valid_rows(
        cls, data: SearchData, max_length: int, evaluation: EvaluationConfig, device: torch.device
    ) -> "DeviceData":
        """Valid rows are trained on too, so the evaluator's figures mean nothing."""
        keys_N = user_item_keys([data.train, data.valid], data.num_items)
        unmet_N = unmet_before(keys_N, data.num_items)
        negatives = NegativeSampler(
            torch.as_tensor(keys_N, device=device), torch.as_tensor(unmet_N, device=device), data.num_items
        )
        search = cls.for_search(data, max_length, evaluation, device)
        windows = data.windows("valid", max_length).to(device)
        return cls(in_user_order([data.train, data.valid]), windows, negatives, search.evaluator, data.catalog)
