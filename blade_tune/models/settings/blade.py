"""Settings of BLADE, and of BLADE as its authors released it."""

from typing import Literal, Self

from pydantic import Field, model_validator

from blade_tune.choices import FactorInit, FusionName, InitName, SetSoftmax, Similarity
from blade_tune.models.settings.base import (
    AttentionConfig,
    Augmentation,
    SetAugmentationConfig,
    only_when,
)


class BladeConfig(AttentionConfig, SetAugmentationConfig):
    """Hyperparameters of BLADE."""

    num_blocks: int = Field(
        2, ge=1, le=8, description="stacked blocks, the same number in both paths"
    )
    num_experts: int = Field(4, ge=1, le=64, description="experts in each intermediate block, n")
    ffn_multiple: Literal[1, 2, 4] = Field(
        1, description="inner width of feed-forward networks and experts over d, f/d"
    )
    alpha: float = Field(
        0.5,
        ge=0.0,
        le=1.0,
        description="share of the intermediate path in the fused states (Eq. 8)",
    )
    lambda_: float = Field(
        0.1,
        ge=0.0,
        le=100.0,
        description="weight of the contrastive loss (Eq. 19); ours is a mean, Eq. 17 a sum: its 0.1 is 0.2 here",
    )
    tau: float = Field(0.3, gt=0.0, le=1000.0, description="temperature of the contrastive loss")
    similarity: Similarity = Field(
        "dot", description="of two views: dot product over L d, or cosine"
    )
    contrast_on: Literal["user", "fused"] = Field(
        "user", description="states contrasted: U after, or before cross-attention"
    )
    fusion: FusionName = Field(
        "sum", description="early fusion f() of item and behavior embeddings (Eq. 2)"
    )
    set_softmax: SetSoftmax = Field(
        "all", description="behaviors in a set's softmax: all (absent ones as exp 0) or present"
    )
    factor_init: FactorInit = Field(
        "xavier", description="start of the user factors: drawn like other weights, or ones"
    )
    init: InitName = Field(
        "xavier",
        description="xavier with items scaled by sqrt(d) (EIDP), or normal N(0, 0.02) unscaled",
    )
    cross_residual: Literal["query", "fused"] = Field(
        "query", description="residual around cross-attention"
    )
    richness_weight: bool = Field(
        True, description="weigh steps by the size of the target's behavior set, w in Eq. 16"
    )


class BladeReleasedConfig(AttentionConfig, SetAugmentationConfig):
    """Hyperparameters of the authors' release; the defaults are its published setting for QK-Video."""

    num_blocks: int = Field(3, ge=1, le=8, description="stacked blocks of the intermediate path")
    num_heads: int = Field(
        8, ge=1, le=16, description="heads of the intermediate path and of cross-attention"
    )
    dropout: float = Field(
        0.3,
        ge=0.0,
        le=0.9,
        description="dropout rate of the intermediate path and of cross-attention",
    )
    num_experts: int = Field(4, ge=1, le=64, description="experts in each intermediate block")
    early_num_blocks: int = Field(2, ge=1, le=8, description="stacked blocks of the early path")
    early_num_heads: int = Field(
        2, ge=1, le=16, description="heads of the early path; must divide embedding_size"
    )
    early_dropout: float = Field(0.2, ge=0.0, le=0.9, description="dropout rate of the early path")
    fusion: FusionName = Field("sum", description="early fusion of item and behavior embeddings")
    alpha: float = Field(
        0.6, ge=0.0, le=1.0, description="share of the intermediate path in the fused states"
    )
    lambda_: float = Field(0.001, ge=0.0, le=100.0, description="weight of the contrastive loss")
    augmentation: Augmentation = Field(
        "none",
        description="operator that makes the views; the release's changes nothing",
        json_schema_extra=only_when(read_sets=(True,)),
    )
    tau: float = Field(
        0.01, gt=0.0, le=1000.0, description="temperature of the contrastive loss (cosine)"
    )
    layer_norm_eps: float = Field(1e-8, gt=0.0, le=1e-3, description="epsilon of every LayerNorm")

    @model_validator(mode="after")
    def _early_heads_divide_size(self) -> Self:
        if self.embedding_size % self.early_num_heads:
            raise ValueError(
                "embedding_size must be divisible by early_num_heads, "
                f"got {self.embedding_size} and {self.early_num_heads}"
            )
        return self
