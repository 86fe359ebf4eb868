"""Settings of a weighted sum of models."""

from typing import Any

from pydantic import Field

from blade_tune.choices import Normalization
from blade_tune.models.settings.base import ModelConfig, only_when


def _weight(member: str) -> Any:
    return Field(
        1.0,
        ge=0.0,
        le=100.0,
        description=f"weight of the {member} member, where that of the first is 1",
    )


class CombinationConfig(ModelConfig):
    """How the scores of members are made comparable, and how much each counts."""

    normalization: Normalization = Field(
        "scores",
        description="what is summed: each member's standardized scores, or 1 / (rank_offset + rank)",
    )
    rank_offset: float = Field(
        60.0,
        ge=0.0,
        le=10_000.0,
        description="how little the first ranks stand out",
        json_schema_extra=only_when(normalization=("ranks",)),
    )
    weight_2: float = _weight("second")
    weight_3: float = _weight("third")
    weight_4: float = _weight("fourth")
    weight_5: float = _weight("fifth")
