"""What every model is: a Config, losses by name, and a score for every item."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self, TypeVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from blade_tune.batch import Batch, Catalog
from blade_tune.config import Settings
from blade_tune.layers.table import Table
from blade_tune.losses import binary_cross_entropy
from blade_tune.parameter import Value

T = TypeVar("T")

PIECE_STEPS = 4_000  # docs/performance.md has the measurement

Augmentation = Literal["add", "mask", "flip", "none"]


class ModelConfig(Settings):
    """The hyperparameters that every model has; a model's own Config adds its own.

    A field's `only_when` names the settings of other fields under which it has an effect at all; a space must not
    search it elsewhere.
    """

    embedding_size: int = Field(32, ge=8, le=512, description="width of every embedding and state, d")
    max_length: int = Field(50, ge=2, le=1000, description="newest interactions of a user that the model sees, L")
    dropout: float = Field(0.3, ge=0.0, le=0.9, description="dropout rate")
    layer_norm_eps: float = Field(1e-6, gt=0.0, le=1e-3, description="epsilon of every LayerNorm")


def only_when(**settings: tuple[Any, ...]) -> dict[str, Any]:
    """Mark a Config field as without effect unless each named field has one of the given values."""
    return {"only_when": {name: list(values) for name, values in settings.items()}}


class AttentionConfig(ModelConfig):
    """Fields and the rule of models that split their width into attention heads."""

    num_blocks: int = Field(2, ge=1, le=8, description="stacked blocks")
    num_heads: int = Field(2, ge=1, le=16, description="attention heads, h; must divide embedding_size")

    @model_validator(mode="after")
    def _heads_divide_size(self) -> Self:
        if self.embedding_size % self.num_heads:
            raise ValueError(
                f"embedding_size must be divisible by num_heads, got {self.embedding_size} and {self.num_heads}"
            )
        return self


class SetAugmentationConfig(ModelConfig):
    """Fields of models that contrast views of behavior sets."""

    augmentation: Augmentation = Field("mask", description="operator that makes the views; none leaves them to dropout")
    rho: float = Field(
        0.5,
        ge=0.0,
        le=1.0,
        description="share of a user's real steps that an operator changes",
        json_schema_extra=only_when(augmentation=("add", "mask", "flip")),
    )
    mask_exponent: float = Field(
        0.5,
        gt=0.0,
        le=1.0,
        description="smoothing of behavior frequencies in masking, c (BLADE, Eq. 13)",
        json_schema_extra=only_when(augmentation=("mask",)),
    )


class Recommender(nn.Module, ABC):
    """A model that the one training loop can train and the one evaluation can rank with."""

    Config: ClassVar[type[ModelConfig]]
    told_target_set: ClassVar[bool]  # whether scores depend on the behavior set of the item to predict
    ablations: ClassVar[Mapping[str, Mapping[str, Value]]] = {}  # parts to take out: their names -> settings that do so

    def __init__(self, config: ModelConfig, catalog: Catalog) -> None:
        super().__init__()
        self.catalog = catalog
        self.max_length = config.max_length

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of the training loss by name, weights applied; their sum is what is minimized.

        Args:
            batch: with negatives; every row has at least one real step.
        """

    @abstractmethod
    def final_states(self, batch: Batch) -> Tensor:
        """states_BD after the newest step: what the next item is scored with."""

    @abstractmethod
    def item_vectors(self) -> Tensor:
        """vectors_VD that final states are multiplied with; row 0 is padding."""

    def scores(self, batch: Batch) -> Tensor:
        """scores_BV of all items as the next one, in float32; column 0 is padding."""
        return self.final_states(batch).float() @ self.item_vectors().float().T


class ItemTable(Table):
    """Item embeddings; row 0, padding, is zero and stays zero."""

    def __init__(self, num_items: int, size: int) -> None:
        super().__init__(num_items + 1, size, padding_idx=0)

    def next_item_losses(self, states_BLD: Tensor, batch: Batch) -> Tensor:
        """Binary cross-entropy of each step: its next item against its negative; padding steps mean nothing."""
        assert batch.negatives_BL is not None, "a training batch has negatives"  # noqa: S101 - for the type checker
        return binary_cross_entropy(
            self._dot(states_BLD, batch.target_items_BL), self._dot(states_BLD, batch.negatives_BL)
        )

    def _dot(self, states_BLD: Tensor, items_BL: Tensor) -> Tensor:
        return torch.einsum("bld,bld->bl", states_BLD, self(items_BL))


def in_pieces(
    compute: Callable[[Batch], T], batch: Batch, items: ItemTable, users: Table, shortest: int = 1
) -> list[T]:
    """What `compute` makes of each piece of a batch, see `Batch.pieces`; ids of a piece are places of rows at hand.

    On a GPU the batch is its only piece.
    """
    if batch.items_BL.device.type != "cpu":
        return [compute(batch)]
    assert batch.negatives_BL is not None, "a training batch has negatives"  # noqa: S101 - for the type checker
    ids_3BL = torch.stack((batch.items_BL, batch.target_items_BL, batch.negatives_BL))
    item_rows_XD, places_N = items.take(functional.pad(ids_3BL.flatten(), (1, 0)))  # item 0 keeps its number: padding
    user_rows_XK, users_B = users.take(batch.users_B)
    items_BL, target_items_BL, negatives_BL = places_N[1:].view_as(ids_3BL)
    placed = replace(
        batch, users_B=users_B, items_BL=items_BL, target_items_BL=target_items_BL, negatives_BL=negatives_BL
    )
    with items.at_hand(item_rows_XD), users.at_hand(user_rows_XK):
        return [compute(piece) for piece in placed.pieces(PIECE_STEPS, shortest)]
