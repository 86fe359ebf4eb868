"""Settings and law of synthetic data: to which cluster of items a user goes after an interaction."""

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from blade_tune.data.config import DataConfig

LEAD = 1  # by how many clusters every interaction leads on if sets say nothing of the next one

LawProperty = Literal["order", "sets", "recency"]  # properties that the law may lack


class SyntheticConfig(DataConfig):
    """Size of a synthetic data set, and how clear its law is."""

    num_users: int = Field(600, ge=1, description="users")
    num_items: int = Field(100, ge=2, description="items; a multiple of num_clusters")
    num_clusters: int = Field(
        10, ge=2, description="clusters that the items belong to; more than behaviors"
    )
    min_length: int = Field(8, ge=1, description="fewest interactions of a user before the split")
    max_length: int = Field(25, ge=1, description="most interactions of a user before the split")
    noise: float = Field(
        0.1, ge=0.0, le=1.0, description="probability that the next cluster is any"
    )
    skew: float = Field(
        0.5, ge=0.0, le=3.0, description="exponent of the popularity of items within a cluster"
    )
    seed: int = Field(2026, ge=0, description="seed of all that is drawn")
    shuffle_sets: bool = Field(
        False, description="permute the sets over all rows: the control without the law"
    )
    without: tuple[LawProperty, ...] = Field(
        (), description="what the law does without: order, sets, recency"
    )

    @model_serializer(mode="wrap")
    def _omit_empty_without(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Omit `without` where it is empty, as versions without that setting did, so that older hashes stay valid."""
        values: dict[str, Any] = handler(self)
        if not self.without:
            values.pop("without", None)
        return values

    @model_validator(mode="after")
    def _numbers_fit(self) -> Self:
        if self.num_items % self.num_clusters:
            raise ValueError(
                f"num_items must be a multiple of num_clusters, got {self.num_items} and {self.num_clusters}"
            )
        if self.num_clusters <= len(self.behaviors):
            raise ValueError(
                f"num_clusters must be above {len(self.behaviors)}, the behaviors, got {self.num_clusters}"
            )
        if len(self.auxiliary_columns) != 1:
            raise ValueError(
                f"auxiliary must be one behavior, for the law is about it, got {len(self.auxiliary_columns)}"
            )
        if self.max_length < self.min_length:
            raise ValueError(
                f"max_length must be at least min_length, got {self.max_length} and {self.min_length}"
            )
        if len(set(self.without)) < len(self.without):
            raise ValueError(f"without must name each property once, got {', '.join(self.without)}")
        if self.shuffle_sets and "sets" in self.without:
            raise ValueError(
                "shuffle_sets takes the law from sets, and without sets they have none"
            )
        return self


def rarity(config: DataConfig) -> NDArray[np.int64]:
    """Return rarity_K: 0 for the auxiliary behavior, then 1, 2, ... for the target behaviors in column order."""
    rarity_K = np.empty(len(config.behaviors), np.int64)
    columns = range(len(config.behaviors))
    auxiliary_first = sorted(columns, key=lambda column: column not in config.auxiliary_columns)
    rarity_K[auxiliary_first] = np.arange(len(config.behaviors))
    return rarity_K


def clustered_items(config: SyntheticConfig) -> NDArray[np.int64]:
    """Return items_CS: the ids of the S items of each of C clusters, permuted so that an id tells nothing of either."""
    items_V = np.random.default_rng([config.seed, 0]).permutation(config.num_items)
    return 1 + items_V.reshape(config.num_clusters, -1)


def led_to(
    config: SyntheticConfig, clusters_N: NDArray[np.int64], sets_NK: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """Return the clusters to which interactions lead by the law, before noise.

    Args:
        config: settings of the data.
        clusters_N: the cluster of each interaction's item.
        sets_NK: the behavior set of each interaction.

    Returns:
        The next cluster after each interaction, in the shape of `clusters_N`.
    """
    # How far an interaction leads: by its rarest behavior
    if "sets" in config.without:
        steps_N = np.full(clusters_N.shape, LEAD)
    else:
        steps_N = (sets_NK * rarity(config)).max(axis=-1)
        if "recency" in config.without:
            steps_N = steps_N + LEAD

    # Where to: without order, two clusters lead to each other
    if "order" in config.without:
        return (steps_N - clusters_N) % config.num_clusters
    return (clusters_N + steps_N) % config.num_clusters
