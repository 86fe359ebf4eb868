"""DyMuS: a GRU for each behavior, joined by dynamic routing (Cho et al., AAAI 2023), as Junsu-Cho/DyMuS has it."""

from abc import abstractmethod
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from blade_tune.batch import Batch, Catalog
from blade_tune.layers.dropout import Dropout
from blade_tune.losses import NextItemLoss
from blade_tune.models.base import ItemTable, LabelConfig, NeuralRecommender, in_pieces, labels_of
from blade_tune.models.dymus.behavior_sequences import LabelGru, LabelSequences, label_sequences
from blade_tune.models.dymus.routing import StateRouting


class DymusConfig(LabelConfig):
    """Hyperparameters of DyMuS and DyMuS+."""

    dropout: float = Field(0.0, ge=0.0, le=0.9, description="dropout rate")
    loss: NextItemLoss = Field(
        "ce", description="of the item to predict: ce, softmax over all items, or bce, against one sampled negative"
    )
    refused: ClassVar = {"block_init": "a recurrence and its routing have no start at which they pass on a mean"}

    routing_rounds: int = Field(2, ge=1, le=8, description="rounds of routing, r")
    capsule_size: int = Field(16, ge=1, le=64, description="numbers of a capsule, D2")
    target_steps: int = Field(10, ge=1, description="newest steps of a user that are trained on; max_length is all")
    mask_pad: bool = Field(True, description="start recurrences at the first interaction; false is the public code")


class RoutedRecommender(NeuralRecommender):
    """What DyMuS and DyMuS+ share: a sample is a user after one of her steps, and its state comes out of routing.

    The public code makes a batch of samples, each with sequences of its own. A step of training here takes all samples
    of its users at once, and what samples of one user have in common is computed once.

    Deviates: recurrences start at the first interaction. The public code lets them run over the padding before it;
    `mask_pad: false` has it so, where samples before a user's last share the padding of the last. The softmax of the
    loss is over items; in the public code padding is one of them, and of the routing too (likewise `mask_pad`). The
    table starts by N(0, 1), torch's default, as in the public code's recorded weights.
    """

    Config = DymusConfig
    config: DymusConfig
    reads = "labels"
    told_target_set = False
    is_causal = True

    def __init__(self, config: DymusConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        self.labels = labels_of(catalog, config)
        self.items = ItemTable(catalog.num_items, config.embedding_size)
        self.dropout = Dropout(config.dropout)
        self.padded_to = None if config.mask_pad else config.max_length

    @abstractmethod
    def states(self, sequences: LabelSequences, rows_N: Tensor, steps_N: Tensor) -> Tensor:
        """states_NC of samples: of the given users after the given steps."""

    def sequences(self, batch: Batch) -> LabelSequences:
        """The interactions of each behavior."""
        labels_BL = self.labels(batch.sets_BLK) * batch.real_BL
        return label_sequences(self.items(batch.items_BL), labels_BL, self.catalog.num_behaviors, self.padded_to)

    def routed_items(self) -> Tensor:
        """vectors_VD that the routing asks."""
        return self.item_vectors()[1:] if self.config.mask_pad else self.item_vectors()

    def encode(self, batch: Batch) -> Tensor:
        """The states of all steps (B, L, C)."""
        rows_N, steps_N = torch.ones_like(batch.real_BL).nonzero(as_tuple=True)
        return self.states(self.sequences(batch), rows_N, steps_N).view(*batch.items_BL.shape, -1)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """`next`: the loss of the next item, mean over the newest `target_steps` steps of each user, by weight."""

        def asked(piece: Batch) -> Tensor:
            newest_L = torch.arange(piece.items_BL.shape[1], 0, -1, device=piece.items_BL.device)
            return piece.real_BL & (newest_L <= self.config.target_steps)

        def compute(piece: Batch) -> Tensor:
            asked_BL = asked(piece)
            states_NC = self.states(self.sequences(piece), *asked_BL.nonzero(as_tuple=True))
            weights_N = self.weights(piece)[asked_BL]
            return self.items.loss_at(states_NC, piece, asked_BL, weights_N, self.config.loss)

        batch = batch.newest(self.max_length)
        weights_N = self.weights(batch)[asked(batch)]
        return {"next": self.mean(in_pieces(compute, batch, self.items), weights_N)}

    def final_states(self, batch: Batch) -> Tensor:
        """The states after the newest step."""
        batch = batch.newest(self.max_length)
        rows_B = torch.arange(len(batch), device=batch.items_BL.device)
        return self.states(self.sequences(batch), rows_B, torch.full_like(rows_B, batch.items_BL.shape[1] - 1))

    def item_vectors(self) -> Tensor:
        """The item table, which is the input's too."""
        return self.items.vectors_VD


class Dymus(RoutedRecommender):
    """The final states of K GRUs, one a behavior, are routed to one state."""

    def __init__(self, config: DymusConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        size, num_behaviors = config.embedding_size, catalog.num_behaviors
        self.recurrence = LabelGru(size, num_behaviors)
        self.routing = StateRouting(num_behaviors, size, config.capsule_size, config.routing_rounds, config.dropout)

    def states(self, sequences: LabelSequences, rows_N: Tensor, steps_N: Tensor) -> Tensor:
        """See the base: one run over each sequence serves all samples of its user."""
        states_NKD = self.dropout(self.recurrence(sequences)[rows_N, steps_N])
        return self.routing(lambda _: states_NKD, self.routed_items())
