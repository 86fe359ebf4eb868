"""What every model is, and what every neural model is beyond that: the contract that tests/contracts check."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from blade_tune.batch import Batch
from blade_tune.catalog import Catalog
from blade_tune.layers.identity import near_identity
from blade_tune.models.item_table import ItemTable
from blade_tune.models.settings.base import ModelConfig, NeuralConfig
from blade_tune.parameter import Value

Reads = Literal["nothing", "items", "behavior_types", "sets"]


class RecommenderModel(nn.Module, ABC):
    """A model that scores every item as the next one of a user, given a window of the user's newest interactions.

    What a model must keep:

    - It declares its `Config`, what it `reads`, and whether it is `told_target_set`. Scores depend on exactly what it
      declares.
    - Scores are finite for any number of behaviors from 2 on, and for a window without a single real step.
    - Each row is scored alone, whatever other rows the batch holds.
    - Padding says nothing: a window cut to its real steps has the scores of the padded one. Windows are padded on the
      left, so the newest step is always the last, and a table of positions is read from its end.
    - `max_length` acts in the model: of a longer window it sees the newest `max_length` steps and no more. Each method
      that takes a batch begins with `batch.newest(self.max_length)`, or hands the batch to one that does.
    - The answer stays unknown: scores do not depend on target items or negatives (which are None outside of training),
      nor on target sets, but for the last one if the model is `told_target_set`.
    - What it draws, in its constructor too, it draws from torch's default generator; in evaluation it draws nothing.
    - It leaves the batch as it was.

    Args:
        config: the hyperparameters, an instance of the class's `Config`.
        catalog: what is known of the data set.
    """

    Config: ClassVar[type[ModelConfig]]
    # What is read of past interactions: items, also the behavior type that stands for each set, or whole sets
    reads: Reads
    # Whether scores depend on the behavior set of the item to predict, or on its type
    told_target_set: bool
    # The name of a part of the model -> the settings that take it out
    ablations: ClassVar[Mapping[str, Mapping[str, Value]]] = {}

    def __init__(self, config: ModelConfig, catalog: Catalog) -> None:
        super().__init__()
        self.catalog = catalog
        self.max_length = config.max_length

    @abstractmethod
    def scores(self, batch: Batch) -> Tensor:
        """Score all items as the next one of each user.

        Returns:
            scores_BV, float32 whatever the precision of the weights, V + 1 columns; column 0 is padding.
        """

    @property
    def num_parameters(self) -> int:
        """How many numbers were learned."""
        return sum(weights.numel() for weights in self.parameters())

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(chain(self.parameters(), self.buffers())).device

    def check_declarations(self) -> None:
        """Check what a built model must have declared.

        Raises:
            TypeError: a declaration is missing or is none of the allowed values; the message says which.
        """
        name = type(self).__name__
        reads = getattr(self, "reads", None)
        if reads not in get_args(Reads):
            choices = ", ".join(get_args(Reads))
            raise TypeError(f"{name}.reads must be one of {choices}, got {reads!r}.")
        is_told = getattr(self, "told_target_set", None)
        if not isinstance(is_told, bool):
            raise TypeError(f"{name}.told_target_set must be True or False, got {is_told!r}.")


class DotProduct(RecommenderModel):
    """A recommender whose score is the product of a user's state with an item's vector, which ranks fastest."""

    @abstractmethod
    def final_states(self, batch: Batch) -> Tensor:
        """Compute the states after the newest step, which the next item is scored with.

        Returns:
            states_BD.
        """

    @abstractmethod
    def item_vectors(self) -> Tensor:
        """Return the vectors that final states are multiplied with, vectors_VD; row 0 is padding."""

    def scores(self, batch: Batch) -> Tensor:
        """Multiply final states with item vectors, in float32."""
        return self.final_states(batch).float() @ self.item_vectors().float().T


class NeuralRecommender(DotProduct):
    """A model that the one training loop trains.

    What it must keep, beyond what every RecommenderModel keeps:

    - Its item table is an ItemTable that the constructor puts in `items`. `item_vectors` returns its `vectors_VD`. Its
      row 0 is zero and stays zero.
    - A table with a row for each user is a UserTable, so that an exported model knows what to do with unknown users.
    - `is_causal` says whether it has a method `encode(batch)` that returns states_BLD of all steps, alone or as the
      first of a tuple. No state depends, to the last bit, on a later step or target set, and the last of them is the
      final state. A model that is not causal has no `encode`. It is trained as a cloze (see augment/cloze.py), and its
      Config has a field `mask_prob`.
    - `losses` has the term `next`: `self.mean` of weighted sums, by `self.weights` and in every kind of loss that
      `config.loss` names (`items.next_item_loss` and `items.loss_at` compute them). It calls `self.mean` once.
    - It computes losses in micro-batches (`in_micro_batches`) whose terms add up to those of the whole batch, or does
      without micro-batches.
    - Every parameter takes part in the losses under default settings.
    - It works in any floating precision: a mask or a constant that meets a state has its type.
    - Settings are read from `self.config` when they are used, as far as no weights depend on them.
    - `block_init: identity` changes its weights: layers that can start so are NearIdentity, and `begin_as_mean` sets
      what they cannot. A model without such layers names `block_init` in its Config's `refused`.

    Args:
        config: the hyperparameters, an instance of the class's `Config`.
        catalog: what is known of the data set.
    """

    Config: ClassVar[type[NeuralConfig]]
    is_causal: ClassVar[bool]
    items: ItemTable

    def __init_subclass__(cls, **rest: Any) -> None:
        """Refuse a class that lacks a declaration.

        Raises:
            TypeError: a declaration is missing or contradicts the class; the message says which.
        """
        super().__init_subclass__(**rest)
        if not _is_abstract(cls):
            _check_class(cls)

    def __init__(self, config: NeuralConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        self.config = config
        self.embedding_size = config.embedding_size

    @property
    def num_shared_negatives(self) -> int:
        """How many negatives the steps of a batch share; 0 where each step has one of its own."""
        return self.config.num_negatives if self.config.loss == "sampled_softmax" else 0

    def start(self, item_factors: Callable[[str, int], Tensor]) -> None:
        """Set the weights that training begins with, as `item_init` and `block_init` say, on the CPU.

        Args:
            item_factors: finds factors_VD by name and width; called only where the item table starts from factors.
        """
        if self.config.item_init != "random":
            factors_VD = item_factors(self.config.item_init, self.embedding_size)
            self.items.start_as(factors_VD, self.config.item_std)
        if self.config.block_init == "identity":
            with torch.no_grad():
                self.begin_as_mean()

    def begin_as_mean(self) -> None:
        """Set weights so that a state is about the mean of the history's item vectors: `block_init: identity`."""
        near_identity(self)

    @staticmethod
    def mean(losses: Sequence[Tensor], weights: Tensor) -> Tensor:
        """Divide the weighted sums of micro-batches by the sum of all weights; 0 where no step counts."""
        total = weights.sum()
        return torch.stack(tuple(losses)).sum() / torch.where(total > 0, total, 1.0)

    def weights(self, batch: Batch) -> Tensor:
        """Weigh the targets of a batch in the loss.

        Returns:
            weights_BL: 0 at padding, `auxiliary_weight` where a target has auxiliary behaviors alone, else 1.
        """
        weights_BL = batch.real_BL.to(self.items.weight.dtype)
        auxiliary_weight = self.config.auxiliary_weight
        if auxiliary_weight == 1.0 or not self.catalog.auxiliary:
            return weights_BL

        # Of the other targets, those that have any behavior but auxiliary ones keep their weight.
        num_behaviors = self.catalog.num_behaviors
        is_target_K = torch.ones(num_behaviors, dtype=torch.bool, device=weights_BL.device)
        for column in self.catalog.auxiliary:
            is_target_K[column] = False
        has_target_BL = (batch.target_sets_BLK.bool() & is_target_K).any(dim=-1)
        return torch.where(has_target_BL, weights_BL, auxiliary_weight * weights_BL)

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the terms of the training loss, weights applied; their sum is what is minimized.

        Args:
            batch: with negatives, shared ones where the loss has them. A row may be without a single real step.

        Returns:
            Finite scalars by name, `next` among them.
        """

    def check_declarations(self) -> None:
        """Check what a built model must have declared, the item table too."""
        super().check_declarations()
        items = getattr(self, "items", None)
        if not isinstance(items, ItemTable) or items.num_items != self.catalog.num_items:
            raise TypeError(
                f"{type(self).__name__}.items must be an ItemTable of all items, got {items!r}."
            )


def _is_abstract(cls: type) -> bool:
    """Whether a class that is being defined still lacks methods; ABC knows it only afterwards."""
    members = (getattr(cls, name, None) for name in dir(cls))
    return any(getattr(member, "__isabstractmethod__", False) for member in members)


def _check_class(cls: type[NeuralRecommender]) -> None:
    name = cls.__name__
    config = getattr(cls, "Config", None)
    if not (isinstance(config, type) and issubclass(config, NeuralConfig)):
        raise TypeError(f"{name}.Config must be a subclass of NeuralConfig, got {config!r}.")
    if not isinstance(getattr(cls, "is_causal", None), bool):
        raise TypeError(f"{name}.is_causal must be True or False.")
    if cls.is_causal != hasattr(cls, "encode"):
        raise TypeError(
            f"{name} must have a method encode(batch) if and only if is_causal is True."
        )
    if not cls.is_causal and "mask_prob" not in config.model_fields:
        raise TypeError(
            f"{name}.Config must have a field mask_prob, for the model is not causal and so a cloze."
        )
