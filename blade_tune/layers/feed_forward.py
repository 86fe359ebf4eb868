"""The position-wise feed-forward network."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from blade_tune.layers.dropout import Dropout
from blade_tune.layers.identity import NearIdentity

Activation = Callable[[Tensor], Tensor]


class FeedForward(NearIdentity):
    """A network of two layers for each step: a(drop(x W1 + b1)) W2 + b2, without residual, norm or dropout at the end.

    Args:
        size: D.
        inner_size: F.
        activation: a.
        inner_dropout: dropout rate before the activation.
    """

    def __init__(
        self,
        size: int,
        inner_size: int,
        activation: Activation = functional.gelu,
        inner_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.expand = nn.Linear(size, inner_size)
        self.contract = nn.Linear(inner_size, size)
        self.activation = activation
        self.dropout = Dropout(inner_dropout)

    def forward(self, states_BLD: Tensor) -> Tensor:
        """Transform each step by itself."""
        inner_BLF = self.dropout(self.expand(states_BLD))
        return self.contract(self.activation(inner_BLF))

    def near_identity(self) -> None:
        """Start so that nothing is added to the residual."""
        nn.init.zeros_(self.contract.weight)
