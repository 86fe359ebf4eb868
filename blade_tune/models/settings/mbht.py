"""Settings of MBHT."""

from typing import Literal

from pydantic import Field

from blade_tune.choices import NextItemLoss
from blade_tune.models.settings.base import AttentionConfig, BehaviorTypeConfig


class MbhtConfig(AttentionConfig, BehaviorTypeConfig):
    """Hyperparameters of MBHT."""

    dropout: float = Field(0.5, ge=0.0, le=0.9, description="dropout rate of embeddings and blocks")
    hypergraph_dropout: float = Field(
        0.2, ge=0.0, le=0.9, description="dropout rate of hypergraph convolution"
    )
    layer_norm_eps: float = Field(1e-12, gt=0.0, le=1e-3, description="epsilon of every LayerNorm")
    loss: NextItemLoss = Field(
        "ce",
        description="of a hidden item: ce, softmax over all items, or bce, against one sampled negative",
    )
    ffn_multiple: Literal[1, 2, 4] = Field(
        4, description="inner width of feed-forward networks over d, f/d"
    )
    mask_prob: float = Field(
        0.2,
        ge=0.0,
        le=1.0,
        description="probability that a slot is hidden in training; the last one always is",
    )
    scales: Literal["10-2-5", "10-5-10", "5-2-10", "10-4-20", "5-4-20", "4-2-3"] = Field(
        "10-2-5",
        description="mixtures of slots that low-rank attention sees, then slots in a mean at two coarser scales",
    )
    hyper_len: int = Field(
        6,
        ge=1,
        lt=1000,
        description="most similar slots, itself included, whose item's hyperedge a slot joins",
    )
    window: int = Field(
        10,
        ge=0,
        lt=1000,
        description="known slots up to so far before a hidden one, and 3/5 as far after it, stand for it in the graph",
    )
    as_published: bool = Field(
        False,
        description="as the public code: similarity normalized over time, means of slots far apart",
    )
