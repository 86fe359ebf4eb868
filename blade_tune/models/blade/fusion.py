"""Early fusion of item and behavior embeddings into one vector for each step (BLADE, Eq. 2; the forms are DIFF's)."""

import torch
from torch import Tensor, nn

from blade_tune.choices import FusionName
from blade_tune.layers.identity import NearIdentity


class SumFusion(nn.Module):
    """The sum of both embeddings, E + B."""

    def __init__(self, size: int) -> None:  # noqa: ARG002 - every fusion is built from the size
        super().__init__()

    def forward(self, items_BLD: Tensor, behaviors_BLD: Tensor) -> Tensor:
        """Fuse the embeddings of each step's item and behavior set into fused_BLD."""
        return items_BLD + behaviors_BLD


class ConcatFusion(NearIdentity):
    """A projection of both embeddings together, [E; B] W + b."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.project = nn.Linear(2 * size, size)

    def forward(self, items_BLD: Tensor, behaviors_BLD: Tensor) -> Tensor:
        """Fuse the embeddings of each step's item and behavior set into fused_BLD."""
        return self.project(torch.cat((items_BLD, behaviors_BLD), dim=-1))

    def near_identity(self) -> None:
        """Start as the sum."""
        identity_DD = torch.eye(self.project.out_features)
        self.project.weight.copy_(torch.cat((identity_DD, identity_DD), dim=1))


class GateFusion(nn.Module):
    """Attention over the two embeddings: softmax(relu(s W1 + b1) w2 + b2) weighs E and B."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, 1))

    def forward(self, items_BLD: Tensor, behaviors_BLD: Tensor) -> Tensor:
        """Fuse the embeddings of each step's item and behavior set into fused_BLD."""
        sources_BL2D = torch.stack((items_BLD, behaviors_BLD), dim=2)
        scores_BL21 = self.score(sources_BL2D)
        weights_BL21 = torch.softmax(scores_BL21, dim=2)
        return (weights_BL21 * sources_BL2D).sum(dim=2)


FUSIONS: dict[FusionName, type[nn.Module]] = {
    "sum": SumFusion,
    "concat": ConcatFusion,
    "gate": GateFusion,
}
