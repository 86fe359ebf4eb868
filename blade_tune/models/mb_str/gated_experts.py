"""Customized gate control: experts that all labels share beside one of each label's own (CGC, as MB-STR has it)."""

import torch
from torch import Tensor, nn

from blade_tune.layers.identity import NearIdentity
from blade_tune.models.mb_str.by_behavior import LabelLinear, by_label


class GatedExperts(NearIdentity):
    """x + LN(sum_e g_e e(x)), g = softmax(x G_b): the label b of a state picks its gate and the last of its experts.

    Args:
        size: D; experts are linear maps D -> D.
        num_shared: experts of all labels.
        num_labels: K.
        eps: epsilon of the norm.
    """

    def __init__(self, size: int, num_shared: int, num_labels: int, eps: float) -> None:
        super().__init__()
        self.num_labels = num_labels
        self.shared = nn.Linear(size, num_shared * size)
        self.specific = LabelLinear(num_labels, size, size)
        self.gates = LabelLinear(num_labels, size, num_shared + 1, std=1.0, bias=False)
        self.norm = nn.LayerNorm(size, eps)

    def forward(self, states_ND: Tensor, labels_N: Tensor) -> Tensor:
        """The states as the tasks of their labels see them."""
        labels = by_label(labels_N, self.num_labels)
        rows_ND = labels.enter(states_ND)
        experts_NF = torch.cat((self.shared(rows_ND), self.specific(rows_ND, labels)), dim=-1)
        experts_NED = experts_NF.unflatten(-1, (-1, states_ND.shape[-1]))
        gates_N1E = self.gates(rows_ND, labels).softmax(dim=-1)[:, None]
        return labels.leave(rows_ND + self.norm((gates_N1E @ experts_NED)[:, 0]))

    def near_identity(self) -> None:
        """Add nothing to the state."""
        nn.init.zeros_(self.norm.weight)
