"""Maps of which every behavior type has its own: the weights that a state meets depend on its type."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from blade_tune.kernels.permute import permute
from blade_tune.layers.dropout import Dropout
from blade_tune.layers.identity import NearIdentity


class ByBehavior(ABC):
    """The order in which states of known behavior types, 1 to K, go through K maps; type 0 has no map and becomes zero.

    States become rows once (`enter`), rows go through any number of maps, and become states again (`leave`).

    Args:
        types: the behavior type of each state, of any shape.
    """

    def __init__(self, types: Tensor) -> None:
        self.shape = types.shape

    def enter(self, states: Tensor) -> Tensor:
        """Turn states into rows.

        Args:
            states: of the types' shape and one more axis, D.

        Returns:
            rows_ND.
        """
        return states.flatten(0, -2)

    @abstractmethod
    def linear(self, rows_ND: Tensor, weight_KDF: Tensor, bias_KF: Tensor | None = None) -> Tensor:
        """Map each row by the weights of its behavior type b: x W_b + c_b.

        Returns:
            rows_NF.
        """

    def leave(self, rows_ND: Tensor) -> Tensor:
        """Turn rows back into states of the types' shape and one more axis."""
        return rows_ND.view(*self.shape, rows_ND.shape[-1])


class SortedByBehavior(ByBehavior):
    """Rows in the order of their behavior types, so that those of each type are one product.

    All products together are as large as that of one map for all, but the rows have to be counted, for which a GPU
    would wait.
    """

    def __init__(self, types: Tensor, num_behaviors: int) -> None:
        super().__init__(types)
        types_N = types.flatten()
        self.order_N = types_N.argsort(stable=True)
        self.places_N = self.order_N.argsort()
        self.counts: list[int] = types_N.bincount(minlength=num_behaviors + 1).tolist()

    def enter(self, states: Tensor) -> Tensor:
        """Turn states into rows in the order of their types."""
        return permute(super().enter(states), self.order_N, self.places_N)

    def linear(self, rows_ND: Tensor, weight_KDF: Tensor, bias_KF: Tensor | None = None) -> Tensor:
        """Map the rows by one product for each type."""
        # Rows of type 0 come first, and become zero.
        none_XD, *parts = rows_ND.split(self.counts)
        none_XF = rows_ND.new_zeros(len(none_XD), weight_KDF.shape[-1])
        if bias_KF is None:
            mapped = list(map(torch.matmul, parts, weight_KDF))
        else:
            mapped = list(map(torch.addmm, bias_KF, parts, weight_KDF))
        return torch.cat((none_XF, *mapped))

    def leave(self, rows_ND: Tensor) -> Tensor:
        """Put each row back in its place and turn rows into states."""
        return super().leave(permute(rows_ND, self.places_N, self.order_N))


class PlacedByBehavior(ByBehavior):
    """Rows in their own order; each enters one product of all maps in the place of its type, with zeros in the others.

    That is K times the work, without reading the types: for devices on which a program would have to wait for them.
    """

    def __init__(self, types: Tensor, num_behaviors: int) -> None:
        super().__init__(types)
        self.has_type_NK = functional.one_hot(types.flatten(), num_behaviors + 1)[:, 1:]

    def linear(self, rows_ND: Tensor, weight_KDF: Tensor, bias_KF: Tensor | None = None) -> Tensor:
        """Map the rows by one product of all maps."""
        has_type_NK = self.has_type_NK.to(rows_ND.dtype)
        placed_NKD = has_type_NK[..., None] * rows_ND[:, None]
        mapped_NF = placed_NKD.flatten(1) @ weight_KDF.flatten(0, 1)
        return mapped_NF if bias_KF is None else mapped_NF + has_type_NK @ bias_KF


def by_behavior(types: Tensor, num_behaviors: int) -> ByBehavior:
    """Choose the faster of the two forms for the device of `types`; both compute the same.

    A program that torch.export makes cannot read the types, so it has the second one.
    """
    reads_types = types.device.type == "cpu" and not torch.compiler.is_exporting()
    form = SortedByBehavior if reads_types else PlacedByBehavior
    return form(types, num_behaviors)


class BehaviorLinear(nn.Module):
    """A linear map for each behavior type: x W_b + c_b, with b the type of the row.

    Args:
        num_behaviors: K.
        size: D.
        outputs: F.
        std: standard deviation of the normal distribution that weights start from; biases start at zero.
        bias: whether there is a bias c.
    """

    def __init__(
        self, num_behaviors: int, size: int, outputs: int, std: float = 0.02, *, bias: bool = True
    ) -> None:
        super().__init__()
        self.weight_KDF = nn.Parameter(torch.randn(num_behaviors, size, outputs) * std)
        self.bias_KF = nn.Parameter(torch.zeros(num_behaviors, outputs)) if bias else None

    def forward(self, rows_ND: Tensor, by_behavior: ByBehavior) -> Tensor:
        """Transform each row by the map of its behavior type."""
        return by_behavior.linear(rows_ND, self.weight_KDF, self.bias_KF)


class BehaviorFeedForward(NearIdentity):
    """A feed-forward network for each behavior type (MB-STR): drop(relu(x W1_b + c1_b)) W2_b + c2_b.

    Args:
        num_behaviors: K.
        size: D.
        inner_size: F.
        dropout: dropout rate of the inner states.
    """

    def __init__(self, num_behaviors: int, size: int, inner_size: int, dropout: float) -> None:
        super().__init__()
        self.expand = BehaviorLinear(num_behaviors, size, inner_size)
        self.contract = BehaviorLinear(num_behaviors, inner_size, size)
        self.dropout = Dropout(dropout)

    def forward(self, states_BLD: Tensor, by_behavior: ByBehavior) -> Tensor:
        """Transform each step by itself."""
        rows_ND = by_behavior.enter(states_BLD)
        inner_NF = self.dropout(self.expand(rows_ND, by_behavior).relu())
        rows_ND = self.contract(inner_NF, by_behavior)
        return by_behavior.leave(rows_ND)

    def near_identity(self) -> None:
        """Start so that nothing is added to the residual."""
        nn.init.zeros_(self.contract.weight_KDF)
