"""Customized gate control: experts that all behavior types share, and one of each type (CGC, as in MB-STR)."""

import torch
from torch import Tensor, nn

from blade_tune.layers.identity import NearIdentity
from blade_tune.models.mb_str.by_behavior import BehaviorLinear, by_behavior


class GatedExperts(NearIdentity):
    """A gated mixture of linear experts with a residual: x + LN(sum_e g_e e(x)), g = softmax(x G_b).

    The behavior type b of a state chooses its gate and the last of its experts.

    Args:
        size: D; experts are linear maps D -> D.
        num_shared: how many experts all types share.
        num_behaviors: K.
        eps: epsilon of the norm.
    """

    def __init__(self, size: int, num_shared: int, num_behaviors: int, eps: float) -> None:
        super().__init__()
        self.num_behaviors = num_behaviors
        self.shared = nn.Linear(size, num_shared * size)
        self.specific = BehaviorLinear(num_behaviors, size, size)
        self.gates = BehaviorLinear(num_behaviors, size, num_shared + 1, std=1.0, bias=False)
        self.norm = nn.LayerNorm(size, eps)

    def forward(self, states_ND: Tensor, types_N: Tensor) -> Tensor:
        """Mix experts for states of the behavior types `types_N`; returns states_ND."""
        order = by_behavior(types_N, self.num_behaviors)
        rows_ND = order.enter(states_ND)

        # All experts, the shared ones and then the type's own.
        shared_NF = self.shared(rows_ND)
        specific_ND = self.specific(rows_ND, order)
        experts_NF = torch.cat((shared_NF, specific_ND), dim=-1)
        experts_NED = experts_NF.unflatten(-1, (-1, states_ND.shape[-1]))

        # x + LN(sum_e g_e e(x)).
        logits_NE = self.gates(rows_ND, order)
        gates_N1E = logits_NE.softmax(dim=-1)[:, None]
        mixed_ND = (gates_N1E @ experts_NED)[:, 0]
        return order.leave(rows_ND + self.norm(mixed_ND))

    def near_identity(self) -> None:
        """Start so that nothing is added to the state."""
        nn.init.zeros_(self.norm.weight)
