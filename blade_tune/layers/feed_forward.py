"""The position-wise feed-forward network."""

from torch import Tensor, nn
from torch.nn import functional


class FeedForward(nn.Module):
    """gelu(x W1 + b1) W2 + b2; no residual, no norm."""

    def __init__(self, size: int, inner_size: int) -> None:
        super().__init__()
        self.expand = nn.Linear(size, inner_size)
        self.contract = nn.Linear(inner_size, size)

    def forward(self, states_BLD: Tensor) -> Tensor:
        """Transform each step by itself."""
        return self.contract(functional.gelu(self.expand(states_BLD)))
