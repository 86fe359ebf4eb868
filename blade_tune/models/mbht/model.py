"""MBHT: a multi-scale transformer and hypergraphs of items (Yang et al., KDD 2022), after yuh-yang/MBHT-KDD22."""

import math

import torch
from torch import Tensor, nn

from blade_tune.augment.cloze import ask, hide
from blade_tune.batch import Batch
from blade_tune.catalog import Catalog
from blade_tune.layers.behavior_types import BehaviorTypes
from blade_tune.layers.dropout import Dropout
from blade_tune.layers.feed_forward import FeedForward
from blade_tune.layers.identity import Positions
from blade_tune.layers.initialization import initialize
from blade_tune.models.base import NeuralRecommender
from blade_tune.models.item_table import ItemTable
from blade_tune.models.mbht.hypergraph import (
    HypergraphConvolution,
    ItemMetric,
    SourceAttention,
    fill_hidden,
    propagation,
)
from blade_tune.models.mbht.multi_scale import MultiScaleAttention, Pooling, Scales
from blade_tune.models.settings.mbht import MbhtConfig


class MbhtBlock(nn.Module):
    """Multi-scale attention, which has residuals inside, then a feed-forward network with one around it, post-norm."""

    def __init__(self, config: MbhtConfig, scales: Scales) -> None:
        super().__init__()
        size, eps = config.embedding_size, config.layer_norm_eps
        self.attention = MultiScaleAttention(size, config.num_heads, config.dropout, eps, scales)
        self.feed_forward = FeedForward(size, size * config.ffn_multiple)
        self.feed_forward_norm = nn.LayerNorm(size, eps)
        self.dropout = Dropout(config.dropout)

    def forward(self, states_BLD: Tensor, real_BL: Tensor) -> Tensor:
        """Apply the block; `real_BL` marks the slots that hold an interaction."""
        states_BLD = self.attention(states_BLD, real_BL)
        return self.feed_forward_norm(states_BLD + self.dropout(self.feed_forward(states_BLD)))


class Mbht(NeuralRecommender):
    """A cloze model that joins a transformer over items, positions and behavior types with a hypergraph of items.

    Sequences stand at the front of a fixed number of slots, max_length or the next number that both scales divide.
    A hidden slot has no behavior type.

    Deviates: similarity is a cosine over features and a mean is of neighboring slots, as in the paper. The public code
    divides each feature by its norm over time, where the learned metric cancels out, and takes means of slots far
    apart; `as_published` does the same. Its metric is the mean of two vectors; here it is that mean, and starts at
    ones. Slots that are equally similar after the floor at 0.01 are ordered by their similarity before it. A hidden
    slot without a known one near it keeps its own state, which is NaN in the public code. Every slot may be hidden and
    trained on; the public code skips the first. The window after a hidden slot follows from the one before it:
    published pairs are (10, 6), (20, 12), (30, 18). There are as many embeddings of behavior types as types, and
    padding is no item of the softmax.
    """

    Config = MbhtConfig
    config: MbhtConfig
    reads = "behavior_types"
    told_target_set = False
    is_causal = False

    def __init__(self, config: MbhtConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        size = config.embedding_size
        rank, *widths = map(int, config.scales.split("-"))
        step = math.lcm(*widths)
        self.num_slots = math.ceil(config.max_length / step) * step
        pooling: Pooling = "strided" if config.as_published else "contiguous"
        scales = Scales(self.num_slots, rank, tuple(widths), pooling)
        self.behavior_types = BehaviorTypes(catalog.behavior_counts_K, config.reduction)
        self.items = ItemTable(catalog.num_items, size, has_mask=True)
        self.positions = Positions(self.num_slots, size)
        self.behaviors = nn.Embedding(catalog.num_behaviors + 1, size)  # row 0: none, or hidden
        self.input_norm = nn.LayerNorm(size, config.layer_norm_eps)
        self.blocks = nn.ModuleList(MbhtBlock(config, scales) for _ in range(config.num_blocks))
        self.gate = nn.Linear(size, size)
        self.metric = ItemMetric(size, over_time=config.as_published)
        self.hypergraph = HypergraphConvolution(size, config.hypergraph_dropout)
        self.join = SourceAttention(size)
        self.dropout = Dropout(config.dropout)
        initialize(self, "normal")

    def fill(self, cloze: Batch) -> Tensor:
        """Compute the states with which the hidden slots are filled.

        Returns:
            states_BLD of all slots, from the front; L is their fixed number.
        """
        items_BL = self._at_front(cloze.items_BL, cloze)
        types_BL = self._at_front(self.behavior_types(cloze.sets_BLK), cloze)
        real_BL = items_BL > 0
        masked_BL = items_BL == self.items.mask_item
        known_BL = real_BL & ~masked_BL

        # The transformer.
        items_BLD = self.items(items_BL)
        behaviors_BLD = self.behaviors(types_BL.masked_fill(masked_BL, 0))
        inputs_BLD = items_BLD + self.positions.weight + behaviors_BLD
        states_BLD = self.dropout(self.input_norm(inputs_BLD))
        for block in self.blocks:
            states_BLD = block(states_BLD, real_BL)

        # The hypergraph of items.
        gated_BLD = items_BLD * torch.sigmoid(self.gate(items_BLD))
        similarity_BLL = self.metric(gated_BLD)
        propagation_BLL = propagation(similarity_BLL, items_BL, known_BL, self.config.hyper_len)
        related_BLD = self.hypergraph(gated_BLD, propagation_BLL)

        # Known slots near a hidden one stand for it.
        before = self.config.window
        after = before * 3 // 5
        related_BLD = fill_hidden(related_BLD, known_BL, masked_BL, before, after)
        joined_BLD: Tensor = self.join(states_BLD, related_BLD)
        return joined_BLD

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute `next`, the weighted mean loss of the hidden items.

        The number of slots is the same for every user, so micro-batches would save nothing.
        """
        cloze = hide(batch, self.max_length, self.items.mask_item, self.config.mask_prob, last=True)
        hidden_BL = cloze.target_items_BL > 0
        states_ND = self._from_front(self.fill(cloze), cloze)[hidden_BL]
        weights_N = self.weights(cloze)[hidden_BL]
        loss = self.items.loss_at(states_ND, cloze, hidden_BL, weights_N, self.config.loss)
        return {"next": self.mean([loss], weights_N)}

    def final_states(self, batch: Batch) -> Tensor:
        """Compute the state of one more slot, whose item is hidden."""
        cloze = ask(batch, self.max_length, self.items.mask_item)
        return self._from_front(self.fill(cloze), cloze)[:, -1]

    def item_vectors(self) -> Tensor:
        """Return the item table, from which inputs are looked up too."""
        return self.items.vectors_VD

    def _at_front(self, values_BL: Tensor, cloze: Batch) -> Tensor:
        """Move a value of each real slot from the end of a window to the front of all slots; others become zero."""
        length = values_BL.shape[1]
        lengths_B1 = cloze.lengths_B[:, None]
        slots_L = torch.arange(self.num_slots, device=values_BL.device)
        places_BL = (slots_L + length - lengths_B1).clamp_max(length - 1)
        moved_BL = values_BL.gather(1, places_BL)
        return torch.where(slots_L < lengths_B1, moved_BL, 0)

    def _from_front(self, states_BLD: Tensor, cloze: Batch) -> Tensor:
        """Move the states of a window's slots back to its end; padding takes that of the first slot."""
        length = cloze.items_BL.shape[1]
        lengths_B1 = cloze.lengths_B[:, None]
        from_end_L = torch.arange(-length, 0, device=lengths_B1.device)
        places_BL = (from_end_L + lengths_B1).clamp_min(0)
        places_BLD = places_BL[..., None].expand(-1, -1, states_BLD.shape[-1])
        return states_BLD.gather(1, places_BLD)
