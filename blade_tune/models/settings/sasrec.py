"""Settings of SASRec and of CL4SRec."""

from typing import Literal

from pydantic import Field

from blade_tune.choices import NormPlace, Similarity
from blade_tune.models.settings.base import AttentionConfig


class SasRecConfig(AttentionConfig):
    """Hyperparameters of SASRec."""

    norm: NormPlace = Field("pre", description="norms before each sub-layer, or after its residual")
    ffn_multiple: Literal[1, 2, 4] = Field(
        1, description="inner width of feed-forward networks over d, f/d"
    )
    key_padding: bool = Field(
        True, description="keep attention off padding; false is the public code"
    )
    layer_norm_eps: float = Field(1e-8, gt=0.0, le=1e-3, description="epsilon of every LayerNorm")


class Cl4SRecConfig(SasRecConfig):
    """Hyperparameters of CL4SRec."""

    norm: NormPlace = Field(
        "post", description="norms after each residual, or before its sub-layer"
    )
    lambda_: float = Field(
        0.1, ge=0.0, le=100.0, description="weight of the contrastive loss (Eq. 13)"
    )
    tau: float = Field(1.0, gt=0.0, le=1000.0, description="temperature of the contrastive loss")
    similarity: Similarity = Field("dot", description="of two views: dot product over d, or cosine")
    crop_share: float = Field(
        0.6, ge=0.0, le=1.0, description="share of the items that a crop keeps, eta"
    )
    mask_share: float = Field(
        0.3, ge=0.0, le=1.0, description="share of the items that are masked, gamma"
    )
    reorder_share: float = Field(
        0.6, ge=0.0, le=1.0, description="share of the items that are shuffled, beta"
    )
