"""A dense mixture of feed-forward experts in two matrix products."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from blade_tune.layers.dropout import dropout
from blade_tune.layers.identity import NearIdentity


class Experts(NearIdentity):
    """Computes sum_i gate_i e_i(x) with e_i(x) = gelu(x W1_i + c1_i) W2_i + c2_i (BLADE, Eq. 7).

    Every expert computes every step: there is no top-k and no balance loss. All first layers are one product D -> E*F.
    Their outputs are weighed by the gates before one product E*F -> D, which so sums over the experts.

    Args:
        size: D.
        inner_size: F, the width of one expert.
        num_experts: E.
        inner_dropout: dropout rate of the inner states, before the activation (the authors' release; the paper has
            none).
        output_dropout: dropout rate of each expert's output before it is weighed (the release too). While it acts, in
            training, the second product keeps the experts apart.
    """

    def __init__(
        self,
        size: int,
        inner_size: int,
        num_experts: int,
        inner_dropout: float = 0.0,
        output_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.inner_dropout = inner_dropout
        self.output_dropout = output_dropout
        self.expand_EDF = nn.Parameter(torch.empty(num_experts, size, inner_size))
        self.expand_bias_EF = nn.Parameter(torch.zeros(num_experts, inner_size))
        self.contract_EFD = nn.Parameter(torch.empty(num_experts, inner_size, size))
        self.contract_bias_ED = nn.Parameter(torch.zeros(num_experts, size))

    def forward(self, states_BLD: Tensor, gates_BLE: Tensor) -> Tensor:
        """Mix the experts' outputs by the router's weights; returns states_BLD."""
        # The first layers of all experts.
        E, D, F = self.expand_EDF.shape
        expand_DX = self.expand_EDF.transpose(0, 1).reshape(D, E * F)
        inner_BLX = states_BLD @ expand_DX + self.expand_bias_EF.flatten()
        inner_BLX = dropout(inner_BLX, self.inner_dropout, self.training)
        inner_BLX = functional.gelu(inner_BLX)
        inner_BLEF = inner_BLX.unflatten(-1, (E, F))

        # Outputs that are dropped before they are weighed have to be made one by one.
        if self.training and self.output_dropout:
            inner_EXF = inner_BLEF.flatten(0, 1).transpose(0, 1)
            bias_E1D = self.contract_bias_ED[:, None]
            outputs_EXD = torch.baddbmm(bias_E1D, inner_EXF, self.contract_EFD)
            outputs_EXD = dropout(outputs_EXD, self.output_dropout, self.training)
            gates_EX1 = gates_BLE.flatten(0, 1).T[..., None]
            mixed_XD = (gates_EX1 * outputs_EXD).sum(dim=0)
            return mixed_XD.view_as(states_BLD)

        # Otherwise the second layers and the sum over experts are one product, sum_i gate_i e_i(x) (Eq. 7).
        weighed_BLX = (inner_BLEF * gates_BLE[..., None]).flatten(-2)
        contract_XD = self.contract_EFD.reshape(E * F, D)
        return weighed_BLX @ contract_XD + gates_BLE @ self.contract_bias_ED

    def near_identity(self) -> None:
        """Start so that nothing is added to the residual."""
        nn.init.zeros_(self.contract_EFD)
