"""Settings of MB-STR."""

from typing import Literal

from pydantic import Field

from blade_tune.choices import NextItemLoss
from blade_tune.models.settings.base import AttentionConfig, BehaviorTypeConfig


class MbStrConfig(AttentionConfig, BehaviorTypeConfig):
    """Hyperparameters of MB-STR."""

    dropout: float = Field(0.2, ge=0.0, le=0.9, description="dropout rate")
    layer_norm_eps: float = Field(1e-5, gt=0.0, le=1e-3, description="epsilon of every LayerNorm")
    loss: NextItemLoss = Field(
        "ce",
        description="of a hidden item: ce, softmax over all items, or bce, against one sampled negative",
    )
    ffn_multiple: Literal[1, 2, 4] = Field(
        4, description="inner width of feed-forward networks over d, f/d"
    )
    num_shared_experts: int = Field(
        3, ge=1, le=64, description="experts of the head that all behaviors share"
    )
    mask_prob: float = Field(
        0.2, ge=0.01, le=1.0, description="probability that a slot is hidden in training"
    )
