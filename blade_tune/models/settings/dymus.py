"""Settings of DyMuS and DyMuS+."""

from typing import ClassVar

from pydantic import Field

from blade_tune.choices import NextItemLoss
from blade_tune.models.settings.base import BehaviorTypeConfig


class DymusConfig(BehaviorTypeConfig):
    """Hyperparameters of DyMuS and DyMuS+."""

    dropout: float = Field(0.0, ge=0.0, le=0.9, description="dropout rate")
    loss: NextItemLoss = Field(
        "ce",
        description="of the item to predict: ce, softmax over all items, or bce, against one sampled negative",
    )
    auxiliary_weight: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="weight in the loss of a target without a target behavior; others have 1; at 0, as in the public "
        "code, no such target makes a sample",
    )
    refused: ClassVar = {
        "block_init": "a recurrence and its routing have no start at which they pass on a mean"
    }

    routing_rounds: int = Field(2, ge=1, le=8, description="rounds of routing, r")
    capsule_size: int = Field(16, ge=1, le=64, description="numbers of a capsule, D2")
    target_steps: int = Field(
        10,
        ge=1,
        description="newest steps of a user that are samples, of those with a weight in the loss; max_length is all",
    )
    mask_pad: bool = Field(
        True, description="start recurrences at the first interaction; false is the public code"
    )
