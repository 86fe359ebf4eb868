"""The data of a training on its device: windows, negative sampler and evaluator, for models of one window length."""

from dataclasses import dataclass, field

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from blade_tune.catalog import Catalog, Interactions
from blade_tune.data.sequences import Windows, rows_with
from blade_tune.data.store import SearchData
from blade_tune.data.table import in_user_order, unmet_before, user_item_keys
from blade_tune.training.config import EvaluationConfig
from blade_tune.training.evaluation import Evaluator
from blade_tune.training.negatives import NegativeSampler


def resolve_device(name: str) -> torch.device:
    """Return the torch device with a name; "auto" is the first GPU, or the CPU if there is no GPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


@dataclass(frozen=True)
class DeviceData:
    """Everything that a training or a fit reads."""

    rows: Interactions  # all interactions to learn from, in order of users
    windows: Windows  # these interactions as training windows, on the device
    negatives: NegativeSampler
    evaluator: Evaluator
    catalog: Catalog
    # The factors that `item_factors` has computed, by name and size
    factors: dict[tuple[str, int], Tensor] = field(default_factory=dict)

    def item_factors(self, name: str, size: int) -> Tensor:
        """Return factors_VD: an embedding of every item, computed from the rows, with which a model may be initialized.

        Computed once for each name and size.

        Args:
            name: the method, a key of `models.item_factors.FACTORS`.
            size: D, the size of an embedding.
        """
        if (name, size) not in self.factors:
            # This imports scipy and implicit, which few models need.
            from blade_tune.models.item_factors import FACTORS

            # With one thread, results do not depend on the machine.
            with threadpool_limits(1, "blas"):
                factors_VD = FACTORS[name](self.rows, self.catalog, size)
            self.factors[name, size] = torch.from_numpy(factors_VD)
        return self.factors[name, size]

    @classmethod
    def for_search(
        cls, data: SearchData, max_length: int, evaluation: EvaluationConfig, device: torch.device
    ) -> "DeviceData":
        """Return the data of a search's trial: trained on the train rows, evaluated on the valid rows.

        Args:
            data: the search data.
            max_length: L, the window length.
            evaluation: the protocol of evaluation.
            device: where the tensors are put.
        """
        keys_N = torch.from_numpy(data.user_item_keys()).to(device)
        unmet_before_N = torch.from_numpy(data.unmet_before()).to(device)
        valid = data.windows("valid", max_length).to(device)
        return cls(
            rows=data.train,
            windows=data.windows("train", max_length).to(device),
            negatives=NegativeSampler(keys_N, unmet_before_N, data.num_items),
            evaluator=Evaluator(valid, rows_with(data.valid), data.catalog, evaluation),
            catalog=data.catalog,
        )

    @classmethod
    def with_valid_rows(
        cls, data: SearchData, max_length: int, evaluation: EvaluationConfig, device: torch.device
    ) -> "DeviceData":
        """Return the data of a final model, which is trained on the train and the valid rows.

        The evaluator still ranks the valid rows. Its figures mean nothing, as the model has learned those rows.

        Args:
            data: the search data.
            max_length: L, the window length.
            evaluation: the protocol of evaluation.
            device: where the tensors are put.
        """
        # Draw negatives that the users have met in neither part.
        keys_N = user_item_keys([data.train, data.valid], data.num_items)
        unmet_before_N = unmet_before(keys_N, data.num_items)
        negatives = NegativeSampler(
            torch.as_tensor(keys_N, device=device),
            torch.as_tensor(unmet_before_N, device=device),
            data.num_items,
        )
        search = cls.for_search(data, max_length, evaluation, device)
        return cls(
            rows=in_user_order([data.train, data.valid]),
            windows=data.windows("valid", max_length).to(device),
            negatives=negatives,
            evaluator=search.evaluator,
            catalog=data.catalog,
        )
