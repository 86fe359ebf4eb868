"""Settings of the models that are fitted at once."""

from typing import ClassVar, Literal

from pydantic import Field

from blade_tune.models.settings.base import ModelConfig

# Users or items, the fewer of both: their square matrix is inverted, 3 GiB in float64
LARGEST = 20_000


class PopularityConfig(ModelConfig):
    """The one hyperparameter of a model that knows no user."""

    counts: Literal["all", "target", "target_set"] = Field(
        "target",
        description="which train rows of an item count: all, those with a target behavior, or those with the very "
        "behavior set of the item to predict, equal counts in the order of target",
    )


class EvidenceConfig(ModelConfig):
    """How much a row of a user counts, in the fit and in the history that the model recommends by."""

    half_life: float = Field(
        25.0,
        ge=1.0,
        le=1000.0,
        description="interactions after which one of the history counts half as much",
    )
    auxiliary_weight: float = Field(
        1.0,
        ge=0.0,
        le=1.0,
        description="weight of a row without a target behavior as evidence; others have 1",
    )
    rarity_weight: float = Field(
        0.0,
        ge=0.0,
        le=2.0,
        description="exponent r by which rare behaviors weigh more: a row's weight is times the largest "
        "(n_max / n_k)^r of its behaviors k, n their counts in train rows",
    )


class ItemToItemConfig(EvidenceConfig):
    """The similarity of items i in the history and j to come: s_ij = c_ij / (n_i^(2 - 2a) n_j^(2a) + shrinkage)."""

    neighbors: int = Field(
        200, ge=1, le=5000, description="most similar items that each item of a history speaks for"
    )
    shrinkage: float = Field(
        50.0, ge=0.0, le=10_000.0, description="added below, so that few meetings say little"
    )
    asymmetry: float = Field(
        0.5,
        ge=0.0,
        le=1.0,
        description="share a of the norm that is that of the item to come; 0.5 is the cosine",
    )
    target_auxiliary_weight: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="weight of a row without a target behavior as what is to come; others have 1",
    )


class ItemKnnConfig(ItemToItemConfig):
    """Hyperparameters of item kNN."""


class SequentialRulesConfig(ItemToItemConfig):
    """Hyperparameters of sequential rules."""

    window: int = Field(
        20, ge=1, le=200, description="interactions from one item to a later one at most"
    )
    decay: float = Field(
        0.9, ge=0.01, le=1.0, description="weight of a pair for each interaction that it is longer"
    )
    backward: float = Field(
        0.5,
        ge=0.0,
        le=1.0,
        description="weight of an item that came before; 0 knows later ones only, 1 no order",
    )


class EaseConfig(EvidenceConfig):
    """Hyperparameters of EASE."""

    regularization: float = Field(
        100.0, ge=0.1, le=100_000.0, description="lambda, on every squared weight"
    )
    target_auxiliary_weight: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="weight of a row without a target behavior as what is to come; others have 1",
    )

    @classmethod
    def too_large(cls, num_users: int, num_items: int) -> str:
        """Say why data is too large: of users and items the fewer must be at most LARGEST."""
        size = min(num_users, num_items)
        if size <= LARGEST:
            return ""
        return (
            f"ease inverts a square matrix of {size:,} rows, the fewer of users and items, and can do {LARGEST:,}; "
            "item_knn, sequential_rules, pure_svd and ials fit data of this size."
        )


class PureSvdConfig(EvidenceConfig):
    """Hyperparameters of PureSVD."""

    factors: int = Field(
        32, ge=1, le=512, description="singular vectors, or all where there are fewer"
    )


class IalsConfig(EvidenceConfig):
    """Hyperparameters of iALS."""

    is_seeded: ClassVar[bool] = True

    factors: int = Field(64, ge=1, le=512, description="width of user and item vectors")
    alpha: float = Field(
        10.0,
        ge=0.0,
        le=1000.0,
        description="confidence of what was met: 1 + alpha times its weight",
    )
    regularization: float = Field(
        10.0,
        ge=1e-3,
        le=10_000.0,
        description="lambda, on every squared vector, whatever its user or item has met",
    )
    iterations: int = Field(
        15, ge=1, le=100, description="times that users and then items are solved for"
    )
