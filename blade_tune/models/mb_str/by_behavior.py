"""Maps of which every label has its own: the weights that a state meets depend on its label."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from blade_tune.kernels.permute import permute
from blade_tune.layers.dropout import Dropout
from blade_tune.layers.identity import NearIdentity


class ByLabel(ABC):
    """States of known labels, 1 to K, as rows that K maps can be applied to; label 0 has no map and gives zero.

    Rows are made once (`enter`), go through any number of maps, and become states again (`leave`).
    """

    def __init__(self, labels: Tensor) -> None:
        self.shape = labels.shape

    def enter(self, states: Tensor) -> Tensor:
        """rows_ND of states of the labels' shape and one more axis."""
        return states.flatten(0, -2)

    @abstractmethod
    def linear(self, rows_ND: Tensor, weight_KDF: Tensor, bias_KF: Tensor | None = None) -> Tensor:
        """rows_NF = x W_b + c_b, with b the label of the row."""

    def leave(self, rows_ND: Tensor) -> Tensor:
        """The states of rows."""
        return rows_ND.view(*self.shape, rows_ND.shape[-1])


class ByLabelSorted(ByLabel):
    """Rows in the order of their labels, so that those of each label are one product.

    Its size is that of a map for all, but someone has to count the rows.
    """

    def __init__(self, labels: Tensor, num_labels: int) -> None:
        super().__init__(labels)
        labels_N = labels.flatten()
        self.order_N = labels_N.argsort(stable=True)
        self.places_N = self.order_N.argsort()
        self.counts: list[int] = labels_N.bincount(minlength=num_labels + 1).tolist()

    def enter(self, states: Tensor) -> Tensor:
        """Sort."""
        return permute(super().enter(states), self.order_N, self.places_N)

    def linear(self, rows_ND: Tensor, weight_KDF: Tensor, bias_KF: Tensor | None = None) -> Tensor:
        """One product a label."""
        none_XD, *parts = rows_ND.split(self.counts)
        if bias_KF is None:
            mapped = [part_XD @ weight_DF for part_XD, weight_DF in zip(parts, weight_KDF, strict=True)]
        else:
            mapped = [torch.addmm(*inputs) for inputs in zip(bias_KF, parts, weight_KDF, strict=True)]
        return torch.cat((rows_ND.new_zeros(len(none_XD), weight_KDF.shape[-1]), *mapped))

    def leave(self, rows_ND: Tensor) -> Tensor:
        """Put each row back."""
        return super().leave(permute(rows_ND, self.places_N, self.order_N))


class ByLabelPlaced(ByLabel):
    """Rows as they are; each enters one product of all maps in the place of its label, with zeros in the others.

    That is K times the work, without a look at the labels: for devices that would have to wait for it.
    """

    def __init__(self, labels: Tensor, num_labels: int) -> None:
        super().__init__(labels)
        self.has_label_NK = functional.one_hot(labels.flatten(), num_labels + 1)[:, 1:]

    def linear(self, rows_ND: Tensor, weight_KDF: Tensor, bias_KF: Tensor | None = None) -> Tensor:
        """One product."""
        has_label_NK = self.has_label_NK.to(rows_ND.dtype)
        mapped_NF = (has_label_NK[..., None] * rows_ND[:, None]).flatten(1) @ weight_KDF.flatten(0, 1)
        return mapped_NF if bias_KF is None else mapped_NF + has_label_NK @ bias_KF


def by_label(labels: Tensor, num_labels: int) -> ByLabel:
    """Whichever is the faster of the two; they give the same."""
    form = ByLabelSorted if labels.device.type == "cpu" else ByLabelPlaced
    return form(labels, num_labels)


class LabelLinear(nn.Module):
    """x W_b + c_b, with b the label of the row.

    Args:
        num_labels: K.
        size: D.
        outputs: F.
        std: of the normal distribution that weights start from; biases start at zero.
        bias: whether there is c.
    """

    def __init__(self, num_labels: int, size: int, outputs: int, std: float = 0.02, *, bias: bool = True) -> None:
        super().__init__()
        self.weight_KDF = nn.Parameter(torch.randn(num_labels, size, outputs) * std)
        self.bias_KF = nn.Parameter(torch.zeros(num_labels, outputs)) if bias else None

    def forward(self, rows_ND: Tensor, labels: ByLabel) -> Tensor:
        """Transform each row by the map of its label."""
        return labels.linear(rows_ND, self.weight_KDF, self.bias_KF)


class LabelFeedForward(NearIdentity):
    """drop(relu(x W1_b + c1_b)) W2_b + c2_b: a feed-forward network for each label (MB-STR).

    Args:
        num_labels: K.
        size: D.
        inner_size: F.
        dropout: rate on the inner states.
    """

    def __init__(self, num_labels: int, size: int, inner_size: int, dropout: float) -> None:
        super().__init__()
        self.expand = LabelLinear(num_labels, size, inner_size)
        self.contract = LabelLinear(num_labels, inner_size, size)
        self.dropout = Dropout(dropout)

    def forward(self, states_BLD: Tensor, labels: ByLabel) -> Tensor:
        """Transform each step by itself."""
        inner_NF = self.dropout(self.expand(labels.enter(states_BLD), labels).relu())
        return labels.leave(self.contract(inner_NF, labels))

    def near_identity(self) -> None:
        """Add nothing to the residual."""
        nn.init.zeros_(self.contract.weight_KDF)
