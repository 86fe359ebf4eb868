"""Starts at which layers pass on what they receive: `block_init: identity` (see NeuralConfig)."""

from abc import abstractmethod

import torch
from torch import nn

# Scale of what attention gathers, compared with the step that gathers it
GAIN = 4.0
# Scale of queries and keys, compared with drawn ones, so that attention starts almost uniform
FAINT = 0.1


class NearIdentity(nn.Module):
    """A layer that can start so that its block passes on about the mean of the steps that it sees."""

    @abstractmethod
    def near_identity(self) -> None:
        """Set the layer's own weights; the layers inside it have set theirs already."""


class Positions(nn.Embedding, NearIdentity):
    """An embedding with one row for each position in a window; the last row is that of the newest step."""

    def near_identity(self) -> None:
        """Start at zero."""
        nn.init.zeros_(self.weight)


@torch.no_grad()
def near_identity(module: nn.Module) -> None:
    """Set every NearIdentity of a module, inner ones first; other layers keep the weights that they have."""
    for part in reversed(list(module.modules())):
        if isinstance(part, NearIdentity):
            part.near_identity()


def gather(value: nn.Linear, output: nn.Linear) -> None:
    """Set projections so that attention gathers GAIN times the mean of the steps that it sees."""
    nn.init.eye_(value.weight)
    nn.init.eye_(output.weight)
    output.weight.mul_(GAIN)


def blur(*projections: nn.Linear) -> None:
    """Scale projections down: attention then sees all steps almost alike (queries, keys) or adds hardly anything."""
    for projection in projections:
        projection.weight.mul_(FAINT)
