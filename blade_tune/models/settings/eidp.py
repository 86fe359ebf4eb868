"""Settings of EIDP."""

from pydantic import Field

from blade_tune.models.settings.base import AttentionConfig, only_when


class EidpConfig(AttentionConfig):
    """Hyperparameters of EIDP; the defaults are its published setting for QK-Video, but for the width."""

    num_blocks: int = Field(
        2, ge=1, le=8, description="stacked layers of each behavior's encoder, C"
    )
    num_heads: int = Field(
        4, ge=1, le=16, description="heads of the encoders, H; must divide embedding_size"
    )
    dropout: float = Field(
        0.6, ge=0.0, le=0.9, description="dropout rate of embeddings and encoders"
    )
    dcba_dropout: float = Field(
        0.6, ge=0.0, le=0.9, description="dropout rate of the explicit path's attention"
    )
    cba_dropout: float = Field(
        0.8, ge=0.0, le=0.9, description="dropout rate of the attention over behaviors' views"
    )
    prob_exact: bool = Field(
        True, description="compute every query of the encoders; false is the public code"
    )
    sampling_factor: int = Field(
        8,
        ge=1,
        description="queries computed per logarithm of the window's length, a",
        json_schema_extra=only_when(prob_exact=(False,)),
    )
    layer_norm_eps: float = Field(1e-8, gt=0.0, le=1e-3, description="epsilon of every LayerNorm")
