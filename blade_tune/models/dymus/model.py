"""DyMuS: a GRU for each behavior, joined by dynamic routing (Cho et al., AAAI 2023), after Junsu-Cho/DyMuS."""

from abc import abstractmethod

import torch
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.catalog import Catalog
from blade_tune.layers.behavior_types import BehaviorTypes
from blade_tune.layers.dropout import Dropout
from blade_tune.models.base import NeuralRecommender
from blade_tune.models.dymus.behavior_sequences import (
    BehaviorGru,
    BehaviorSequences,
    behavior_sequences,
)
from blade_tune.models.dymus.routing import StateRouting
from blade_tune.models.item_table import ItemTable
from blade_tune.models.micro_batches import in_micro_batches
from blade_tune.models.settings.dymus import DymusConfig


class RoutedRecommender(NeuralRecommender):
    """The base of DyMuS and DyMuS+: a sample is a user after one of her steps, and routing makes its state.

    The public code makes a batch of samples, each with sequences of its own. A step of training here takes all samples
    of its users at once, and what samples of one user have in common is computed once.

    Deviates: samples lie in the window; the public code looks for a user's newest ten in the whole history (on QK-Video
    162 of its 37,128 lie before the newest 50 steps). Recurrences start at the first interaction. In the public code
    they run over the padding before it; `mask_pad: false` does the same, except that all samples of a user share the
    padding of the last one. The softmax of the loss is over items; in the public code padding is one of them, in the
    routing too (there `mask_pad` decides). The item table starts by N(0, 1), torch's default, as in the public code's
    recorded weights.
    """

    Config = DymusConfig
    config: DymusConfig
    reads = "behavior_types"
    told_target_set = False
    is_causal = True

    def __init__(self, config: DymusConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        self.behavior_types = BehaviorTypes(catalog.behavior_counts_K, config.reduction)
        self.items = ItemTable(catalog.num_items, config.embedding_size)
        self.dropout = Dropout(config.dropout)
        self.padded_to = None if config.mask_pad else config.max_length

    @abstractmethod
    def states(self, sequences: BehaviorSequences, rows_N: Tensor, steps_N: Tensor) -> Tensor:
        """Compute the states of samples.

        Args:
            sequences: the interactions of every behavior.
            rows_N: the row of each sample's user in the batch.
            steps_N: the step after which the sample is.

        Returns:
            states_NC, as wide as an item's vector.
        """

    def sequences(self, batch: Batch) -> BehaviorSequences:
        """Sort the interactions of a batch by their behavior types."""
        types_BL = self.behavior_types(batch.sets_BLK) * batch.real_BL
        return behavior_sequences(
            self.items(batch.items_BL), types_BL, self.catalog.num_behaviors, self.padded_to
        )

    def samples(self, batch: Batch) -> Tensor:
        """Find the steps that are trained on: of those with a weight in the loss, each user's newest `target_steps`.

        At `auxiliary_weight: 0` these are interactions by a target behavior, of which the public code makes samples.

        Returns:
            samples_BL, True at these steps.
        """
        counts_BL = self.weights(batch) > 0
        # How many there are from a step to the newest, both included
        newer_BL = counts_BL.flip(1).cumsum(dim=1).flip(1)
        return counts_BL & (newer_BL <= self.config.target_steps)

    def routed_items(self) -> Tensor:
        """Return the vectors that routing expects one of, vectors_VD, without padding if `mask_pad` says so."""
        return self.item_vectors()[1:] if self.config.mask_pad else self.item_vectors()

    def encode(self, batch: Batch) -> Tensor:
        """Compute the states of all steps.

        Returns:
            states_BLC.
        """
        batch = batch.newest(self.max_length)
        rows_N, steps_N = torch.ones_like(batch.real_BL).nonzero(as_tuple=True)
        states_NC = self.states(self.sequences(batch), rows_N, steps_N)
        return states_NC.view(*batch.items_BL.shape, -1)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute `next`, the weighted mean loss of the next item over the samples of each user."""
        batch = batch.newest(self.max_length)

        def compute(part: Batch) -> Tensor:
            trained_BL = self.samples(part)
            rows_N, steps_N = trained_BL.nonzero(as_tuple=True)
            states_NC = self.states(self.sequences(part), rows_N, steps_N)
            weights_N = self.weights(part)[trained_BL]
            return self.items.loss_at(states_NC, part, trained_BL, weights_N, self.config.loss)

        losses = in_micro_batches(compute, batch, self.items)
        weights_N = self.weights(batch)[self.samples(batch)]
        return {"next": self.mean(losses, weights_N)}

    def final_states(self, batch: Batch) -> Tensor:
        """Compute the states after the newest step."""
        batch = batch.newest(self.max_length)
        # Not len(batch), which torch.export would take for a constant
        rows_B = torch.arange(batch.items_BL.shape[0], device=batch.items_BL.device)
        newest_B = torch.full_like(rows_B, batch.items_BL.shape[1] - 1)
        return self.states(self.sequences(batch), rows_B, newest_B)

    def item_vectors(self) -> Tensor:
        """Return the item table, from which inputs are looked up too."""
        return self.items.vectors_VD


class Dymus(RoutedRecommender):
    """DyMuS: the states of K GRUs, one for each behavior, are routed to one state."""

    def __init__(self, config: DymusConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        size, num_behaviors = config.embedding_size, catalog.num_behaviors
        self.recurrence = BehaviorGru(size, num_behaviors)
        self.routing = StateRouting(
            num_behaviors, size, config.capsule_size, config.routing_rounds, config.dropout
        )

    def states(self, sequences: BehaviorSequences, rows_N: Tensor, steps_N: Tensor) -> Tensor:
        """Compute the states of samples; one run over each sequence serves all samples of its user."""
        states_BLKD = self.recurrence(sequences)
        states_NKD = self.dropout(states_BLKD[rows_N, steps_N])
        return self.routing(lambda _: states_NKD, self.routed_items())
