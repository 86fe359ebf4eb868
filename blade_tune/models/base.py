"""What every model is: a Config, and a score for every item; and what every neural model is beyond that."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from typing import Any, ClassVar, Literal, Self, TypeVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from blade_tune.batch import Batch, Catalog
from blade_tune.config import Settings
from blade_tune.kernels.softmax_loss import softmax_loss
from blade_tune.layers.behavior_types import Labels, Reduction
from blade_tune.layers.embedding import Table
from blade_tune.layers.identity import near_identity
from blade_tune.losses import NextItemLoss, binary_cross_entropy, sampled_softmax
from blade_tune.parameter import Value

T = TypeVar("T")

PIECE_STEPS = 4_000  # docs/performance.md has the measurement

Augmentation = Literal["add", "mask", "flip", "none"]
Reads = Literal["nothing", "items", "labels", "sets"]


class ModelConfig(Settings):
    """The hyperparameters that every model has; a model's own Config adds its own.

    A field's `only_when` names the settings of other fields under which it has an effect at all; a space must not
    search it elsewhere.
    """

    max_length: int = Field(50, ge=2, le=1000, description="newest interactions of a user that the model sees, L")


def only_when(**settings: tuple[Any, ...]) -> dict[str, Any]:
    """Mark a Config field as without effect unless each named field has one of the given values."""
    return {"only_when": {name: list(values) for name, values in settings.items()}}


class NeuralConfig(ModelConfig):
    """The hyperparameters that every neural model has. Defaults are those of the published recipe, see recipes.py."""

    refused: ClassVar[Mapping[str, str]] = {}  # of the fields below, those without a meaning in a model, and why

    embedding_size: int = Field(32, ge=8, le=512, description="width of every embedding and state, d")
    dropout: float = Field(0.3, ge=0.0, le=0.9, description="dropout rate")
    loss: NextItemLoss = Field(
        "bce",
        description="of the item to predict: bce, against one sampled negative; ce, softmax over all items; "
        "sampled_softmax, over the item and num_negatives that are drawn for all steps of a batch together",
    )
    num_negatives: int = Field(
        256,
        ge=1,
        le=100_000,
        description="items drawn uniformly for each batch, negatives of all its steps",
        json_schema_extra=only_when(loss=("sampled_softmax",)),
    )
    auxiliary_weight: float = Field(
        1.0, ge=0.0, le=1.0, description="weight in the loss of a target without a target behavior; others have 1"
    )
    item_init: Literal["random", "cooccurrence", "ials"] = Field(
        "random",
        description="start of the item table: drawn; factors of which items the same users met; or the item vectors of "
        "iALS, turned so that a mean of them is about a user's",
    )
    item_std: float = Field(
        0.06,
        gt=0.0,
        le=10.0,
        description="standard deviation of the numbers in these factors",
        json_schema_extra=only_when(item_init=("cooccurrence", "ials")),
    )
    block_init: Literal["random", "identity"] = Field(
        "random", description="start of the blocks: drawn, or so that a state is about the mean of the history"
    )

    @model_validator(mode="after")
    def _has_no_refused(self) -> Self:
        for name, reason in self.refused.items():
            default = type(self).model_fields[name].default
            if getattr(self, name) != default:
                raise ValueError(f"{name} must be {default}: {reason}, got {getattr(self, name)!r}")
        return self


class AttentionConfig(NeuralConfig):
    """Fields and the rule of models that split their width into attention heads."""

    layer_norm_eps: float = Field(1e-6, gt=0.0, le=1e-3, description="epsilon of every LayerNorm")
    num_blocks: int = Field(2, ge=1, le=8, description="stacked blocks")
    num_heads: int = Field(2, ge=1, le=16, description="attention heads, h; must divide embedding_size")

    @model_validator(mode="after")
    def _heads_divide_size(self) -> Self:
        if self.embedding_size % self.num_heads:
            raise ValueError(
                f"embedding_size must be divisible by num_heads, got {self.embedding_size} and {self.num_heads}"
            )
        return self


class LabelConfig(NeuralConfig):
    """Field of models that know one behavior an interaction."""

    reduction: Reduction = Field(
        "rarest", description="which behavior stands for a set: the rarest, or the most_frequent in train rows"
    )


class SetAugmentationConfig(NeuralConfig):
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
    """What scores every item as the next one of a user, by the window of the user's newest interactions.

    Scores do not depend on how much padding stands before a window, nor on its targets, but for the behavior set of the
    last one in models that are told it.
    """

    Config: ClassVar[type[ModelConfig]]
    reads: Reads  # of past interactions: items, one behavior of each set (its label) too, or whole sets
    told_target_set: bool  # whether scores depend on the behavior set of the item to predict, read likewise
    is_seeded: ClassVar[bool] = True  # whether another seed gives another model
    ablations: ClassVar[Mapping[str, Mapping[str, Value]]] = {}  # parts to take out: their names -> settings that do so

    def __init__(self, config: ModelConfig, catalog: Catalog) -> None:
        super().__init__()
        self.catalog = catalog
        self.max_length = config.max_length

    @abstractmethod
    def scores(self, batch: Batch) -> Tensor:
        """scores_BV of all items as the next one, in float32; column 0 is padding."""

    @classmethod
    def too_large(cls, num_users: int, num_items: int) -> str:  # noqa: ARG003 - most models take any size
        """What hinders a model of data of this size, and what fits instead; empty where nothing does."""
        return ""

    @property
    def num_parameters(self) -> int:
        """How many numbers were learned."""
        return sum(weights.numel() for weights in self.parameters())

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(chain(self.parameters(), self.buffers())).device


class DotProduct(Recommender):
    """A recommender whose score is the product of a user's state with an item's vector, which ranks fastest."""

    @abstractmethod
    def final_states(self, batch: Batch) -> Tensor:
        """states_BD after the newest step: what the next item is scored with."""

    @abstractmethod
    def item_vectors(self) -> Tensor:
        """vectors_VD that final states are multiplied with; row 0 is padding."""

    def scores(self, batch: Batch) -> Tensor:
        """Their product."""
        return self.final_states(batch).float() @ self.item_vectors().float().T


class NeuralRecommender(DotProduct):
    """A model that the one training loop can train. Its item table is an ItemTable called `items`."""

    Config: ClassVar[type[NeuralConfig]]
    is_causal: ClassVar[bool]  # whether `encode` gives states_BLD of all steps, none of which sees a later one
    items: "ItemTable"

    def __init__(self, config: NeuralConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        self.config = config
        self.embedding_size = config.embedding_size

    @property
    def num_shared_negatives(self) -> int:
        """How many negatives the steps of a batch share; 0 where each step has one of its own."""
        return self.config.num_negatives if self.config.loss == "sampled_softmax" else 0

    def start(self, item_factors: Callable[[str, int], Tensor]) -> None:
        """Begin as `item_init` and `block_init` say, on the CPU, before any training.

        Args:
            item_factors: gives factors_VD by name and width; asked only where the item table starts from some.
        """
        if self.config.item_init != "random":
            self.items.start_as(item_factors(self.config.item_init, self.embedding_size), self.config.item_std)
        if self.config.block_init == "identity":
            with torch.no_grad():
                self.begin_as_mean()

    def begin_as_mean(self) -> None:
        """Set weights so that a state is about the mean of the history's item vectors: `block_init: identity`."""
        near_identity(self)

    @staticmethod
    def mean(losses: Sequence[Tensor], weights: Tensor) -> Tensor:
        """Weighed sums of the losses of pieces over the sum of all weights; 0 where no step counts."""
        total = weights.sum()
        return torch.stack(tuple(losses)).sum() / torch.where(total > 0, total, 1.0)

    def weights(self, batch: Batch) -> Tensor:
        """weights_BL of the targets in the loss: 0 at padding, `auxiliary_weight` where only the auxiliary behavior."""
        weights_BL = batch.real_BL.to(self.items.weight.dtype)
        if self.config.auxiliary_weight == 1.0:
            return weights_BL
        is_target_K = torch.ones(self.catalog.num_behaviors, dtype=torch.bool, device=weights_BL.device)
        is_target_K[self.catalog.auxiliary] = False
        has_target_BL = (batch.target_sets_BLK.bool() & is_target_K).any(dim=-1)
        return torch.where(has_target_BL, weights_BL, self.config.auxiliary_weight * weights_BL)

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of the training loss by name, weights applied; their sum is what is minimized.

        Args:
            batch: with negatives, shared ones where the loss has them; every row has at least one real step.
        """


class ItemTable(Table):
    """Item embeddings; row 0, padding, is zero and stays zero.

    Args:
        num_items: V.
        size: D.
        has_mask: whether one more row stands for a hidden item, [MASK].
    """

    def __init__(self, num_items: int, size: int, *, has_mask: bool = False) -> None:
        super().__init__(num_items + 1 + has_mask, size, padding_idx=0)
        self.num_items = num_items
        self.has_mask = has_mask

    @property
    def vectors_VD(self) -> Tensor:
        """Of padding and of all items."""
        return self.weight[: self.num_items + 1]

    @property
    def mask_item(self) -> int:
        """The id of [MASK], or its place."""
        return (self.num_embeddings if self._at_hand is None else len(self._at_hand[0])) - 1

    def take(self, ids: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """As any table; padding keeps its number, and [MASK] is among them."""
        always_X = ids.new_tensor([0, self.num_embeddings - 1] if self.has_mask else [0])
        taken, places_N = super().take(torch.cat((always_X, ids.flatten())))
        return taken, places_N[len(always_X) :].view_as(ids)

    @torch.no_grad()
    def start_as(self, vectors_VD: Tensor, std: float) -> None:
        """Begin with the given vectors of padding and of all items, scaled to a standard deviation over all items."""
        spread = vectors_VD[1:].std()
        self.vectors_VD.copy_(vectors_VD * (std / spread if spread > 0 else 0.0))
        self.weight[0] = 0.0

    def next_item_loss(self, states_BLD: Tensor, batch: Batch, weights_BL: Tensor, loss: NextItemLoss) -> Tensor:
        """The sum over steps of weight times the loss of the target; weights are zero at padding."""
        if loss == "bce":
            targets_BL, negatives_BL = batch.target_items_BL, _negatives(batch)
            losses_BL = binary_cross_entropy(self._dot(states_BLD, targets_BL), self._dot(states_BLD, negatives_BL))
            return (losses_BL * weights_BL).sum()
        counts_BL = weights_BL > 0
        return self.loss_at(states_BLD[counts_BL], batch, counts_BL, weights_BL[counts_BL], loss)

    def loss_at(
        self, states_ND: Tensor, batch: Batch, chosen_BL: Tensor, weights_N: Tensor, loss: NextItemLoss
    ) -> Tensor:
        """The weighed sum of the losses of the targets at chosen steps, with their states, row after row."""
        targets_N = batch.target_items_BL[chosen_BL]
        if loss == "ce":
            return softmax_loss(states_ND, self.vectors_VD[1:], self.ids(targets_N) - 1, weights_N)
        scores_N = self._dot(states_ND, targets_N)
        if loss == "bce":
            negative_scores_N = self._dot(states_ND, _negatives(batch)[chosen_BL])
            return (binary_cross_entropy(scores_N, negative_scores_N) * weights_N).sum()
        negatives_X = _shared_negatives(batch)
        scores_NX = (states_ND @ self(negatives_X).T).masked_fill(targets_N[:, None] == negatives_X, -torch.inf)
        return (sampled_softmax(scores_N, scores_NX) * weights_N).sum()

    def _dot(self, states_XD: Tensor, items_X: Tensor) -> Tensor:
        return torch.einsum("...d,...d->...", states_XD, self(items_X))


def _negatives(batch: Batch) -> Tensor:
    assert batch.negatives_BL is not None, "a training batch has negatives"  # noqa: S101 - for the type checker
    return batch.negatives_BL


def _shared_negatives(batch: Batch) -> Tensor:
    assert batch.shared_negatives_X is not None, "its loss shares negatives"  # noqa: S101 - for the type checker
    return batch.shared_negatives_X


def labels_of(catalog: Catalog, config: LabelConfig) -> Labels:
    """The reduction of sets to labels that a model's settings ask for."""
    return Labels(torch.as_tensor(catalog.behavior_counts_K), config.reduction)


def in_pieces(
    compute: Callable[[Batch], T], batch: Batch, items: ItemTable, users: Sequence[Table] = (), shortest: int = 1
) -> list[T]:
    """What `compute` makes of each piece of a batch, see `Batch.pieces`; ids of a piece are places of rows at hand.

    On a GPU the batch is its only piece.

    Args:
        compute: of a piece.
        batch: with negatives.
        items: where its items are looked up.
        users: where its users are; without any, ids of users stay what they are.
        shortest: steps of a piece at least.
    """
    if batch.items_BL.device.type != "cpu":
        return [compute(batch)]
    names = [
        name
        for name in ("items_BL", "target_items_BL", "negatives_BL", "shared_negatives_X")
        if getattr(batch, name) is not None
    ]
    ids = [getattr(batch, name) for name in names]
    taken, places_N = items.take(torch.cat([tensor.flatten() for tensor in ids]))
    parts = places_N.split([tensor.numel() for tensor in ids])
    placed = replace(
        batch, **{name: part.view_as(tensor) for name, part, tensor in zip(names, parts, ids, strict=True)}
    )
    with ExitStack() as stack:
        stack.enter_context(items.at_hand(taken))
        for table in users:
            taken, users_B = table.take(batch.users_B)
            stack.enter_context(table.at_hand(taken))
            placed = replace(placed, users_B=users_B)
        return [compute(piece) for piece in placed.pieces(PIECE_STEPS, shortest)]
