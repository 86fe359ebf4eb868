"""Settings of SASRec and of CL4SRec."""

from typing import Literal

from pydantic import Field

from blade_tune.choices import (
    ActivationName,
    InitName,
    NextItemLoss,
    NormPlace,
    OuterNorm,
    PlainSimilarity,
    PositionOrder,
)
from blade_tune.models.settings.base import AttentionConfig


class SasRecConfig(AttentionConfig):
    """Hyperparameters of SASRec; the defaults are pmixer's, but for the ones that all models share."""

    norm: NormPlace = Field("pre", description="norms before each sub-layer, or after its residual")
    outer_norm: OuterNorm = Field(
        "final", description="one more norm: on the states (pmixer), or on the inputs (RecBole)"
    )
    ffn_multiple: Literal[1, 2, 4] = Field(
        1, description="inner width of feed-forward networks over d, f/d"
    )
    activation: ActivationName = Field(
        "relu",
        description="in feed-forward networks: relu with dropout before it (pmixer), or gelu (RecBole)",
    )
    positions: PositionOrder = Field(
        "newest",
        description="step from which positions are counted: the newest (pmixer), or the window's oldest (RecBole)",
    )
    init: InitName = Field(
        "xavier",
        description="xavier with items scaled by sqrt(d) (EIDP), or normal N(0, 0.02) unscaled (RecBole)",
    )
    key_padding: bool = Field(
        True, description="keep attention off padding; false is the public code"
    )
    layer_norm_eps: float = Field(1e-8, gt=0.0, le=1e-3, description="epsilon of every LayerNorm")


class Cl4SRecConfig(SasRecConfig):
    """Hyperparameters of CL4SRec; the defaults are DuoRec's, but for the width."""

    dropout: float = Field(0.5, ge=0.0, le=0.9, description="dropout rate")
    loss: NextItemLoss = Field(
        "ce",
        description="of the item to predict: ce, softmax over all items, or bce, against one sampled negative",
    )
    norm: NormPlace = Field(
        "post", description="norms after each residual, or before its sub-layer"
    )
    outer_norm: OuterNorm = Field("input", description="one more norm: on the inputs, or on states")
    ffn_multiple: Literal[1, 2, 4] = Field(
        4, description="inner width of feed-forward networks over d, f/d"
    )
    activation: ActivationName = Field("gelu", description="in feed-forward networks")
    positions: PositionOrder = Field(
        "oldest", description="step from which positions are counted: the window's oldest or newest"
    )
    init: InitName = Field(
        "normal", description="normal N(0, 0.02), or xavier with items scaled by sqrt(d)"
    )
    layer_norm_eps: float = Field(1e-12, gt=0.0, le=1e-3, description="epsilon of every LayerNorm")
    lambda_: float = Field(
        0.1, ge=0.0, le=100.0, description="weight of the contrastive loss (Eq. 13)"
    )
    tau: float = Field(1.0, gt=0.0, le=1000.0, description="temperature of the contrastive loss")
    similarity: PlainSimilarity = Field(
        "plain_dot", description="of two views: dot product, dot product over d, or cosine"
    )
    crop_share: float = Field(
        0.6, ge=0.0, le=1.0, description="share of the items that a crop keeps, eta"
    )
    mask_share: float = Field(
        0.3, ge=0.0, le=1.0, description="share of the items that are masked, gamma"
    )
    reorder_share: float = Field(
        0.6, ge=0.0, le=1.0, description="share of the items that are shuffled, beta"
    )
