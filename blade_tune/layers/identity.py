"""Starts at which layers pass on what they get: `block_init: identity` (see NeuralConfig)."""

from abc import abstractmethod

import torch
from torch import nn

GAIN = 4.0  # of what attention gathers over the step that gathers it
FAINT = 0.1  # of queries and keys as they are drawn, so that attention begins almost uniform


class NearIdentity(nn.Module):
    """A layer that can start so that a block passes on about the mean of the steps it sees."""

    @abstractmethod
    def near_identity(self) -> None:
        """Set the layer's weights; layers in it have set their own already."""


class Positions(nn.Embedding, NearIdentity):
    """One row a place in a window."""

    def near_identity(self) -> None:
        """Begin as nothing."""
        nn.init.zeros_(self.weight)


@torch.no_grad()
def near_identity(module: nn.Module) -> None:
    """Start every layer of a module so; layers of other kinds keep the weights that they have."""
    for part in reversed(list(module.modules())):
        if isinstance(part, NearIdentity):
            part.near_identity()


def gather(value: nn.Linear, output: nn.Linear) -> None:
    """Have attention gather GAIN times the mean of the steps it sees."""
    nn.init.eye_(value.weight)
    nn.init.eye_(output.weight)
    output.weight.mul_(GAIN)


def blur(*projections: nn.Linear) -> None:
    """Have attention see all steps almost alike, or add hardly anything."""
    for projection in projections:
        projection.weight.mul_(FAINT)
