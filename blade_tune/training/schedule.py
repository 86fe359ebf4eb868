"""What changes over the steps of a training beside its weights: the learning rate, and the average of weights."""

import copy
import math
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from blade_tune.models.base import NeuralRecommender
from blade_tune.training.config import TrainConfig

FIRST_STEPS = 10  # of an average, in which it follows faster: after n steps its decay is at most (1 + n) / (10 + n)


class Schedule:
    """The learning rate of every step.

    Args:
        optimizer: whose rate it sets.
        config: which schedule.
        steps_an_epoch: of the training.
    """

    def __init__(self, optimizer: Optimizer, config: TrainConfig, steps_an_epoch: int) -> None:
        self.optimizer = optimizer
        self.config = config
        self.num_steps = steps_an_epoch * config.max_epochs
        self.step = 0
        self.plateau = ReduceLROnPlateau(optimizer, factor=0.9, patience=5, min_lr=1e-6)

    def step_begins(self) -> None:
        """Set the rate of the next step, where it depends on its number."""
        self.step += 1
        if self.config.schedule == "cosine" or self.step <= self.config.warmup_steps:
            self._set(self.config.learning_rate * self._share())

    def epoch_ended(self, loss: float) -> None:
        """Hear of an epoch's loss."""
        if self.config.schedule == "plateau":
            self.plateau.step(loss)

    def _share(self) -> float:
        """Of the full rate, at the step that begins."""
        warm = min(1.0, self.step / max(1, self.config.warmup_steps))
        return warm * (cosine_share(self.step - 1, self.num_steps) if self.config.schedule == "cosine" else 1.0)

    def _set(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"step": self.step, "plateau": self.plateau.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.step = state["step"]
        self.plateau.load_state_dict(state["plateau"])


def cosine_share(done: int, steps: int) -> float:
    """Half a cosine from 1 before the first step towards 0 after the last (Loshchilov and Hutter, ICLR 2017, Eq. 5)."""
    return 0.5 * (1.0 + math.cos(math.pi * done / steps))


class Average:
    """A model whose weights are the moving average of another one's over its steps (Polyak and Juditsky, 1992).

    Args:
        model: to begin with.
        decay: share of the average that a step keeps, once there are many.
    """

    def __init__(self, model: NeuralRecommender, decay: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.decay = decay
        self.step = 0

    @torch.no_grad()
    def update(self, model: NeuralRecommender) -> None:
        """Take in the weights after a step."""
        self.step += 1
        decay = min(self.decay, (1 + self.step) / (FIRST_STEPS + self.step))
        torch._foreach_lerp_(list(self.model.parameters()), list(model.parameters()), 1.0 - decay)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"step": self.step, "model": self.model.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
