"""SASRec: self-attention over items (Kang and McAuley, ICDM 2018), as pmixer/SASRec.pytorch computes it."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from blade_tune.batch import Batch
from blade_tune.catalog import Catalog
from blade_tune.layers.attention import MultiHeadAttention, causal_mask
from blade_tune.layers.dropout import Dropout
from blade_tune.layers.feed_forward import FeedForward
from blade_tune.layers.identity import Positions
from blade_tune.layers.initialization import initialize
from blade_tune.layers.transformer import TransformerBlock
from blade_tune.models.base import NeuralRecommender
from blade_tune.models.item_table import ItemTable
from blade_tune.models.micro_batches import in_micro_batches
from blade_tune.models.settings.sasrec import SasRecConfig


class SasRec(NeuralRecommender):
    """Blocks of causal self-attention over item and position embeddings, with a norm after or before them.

    Scores are by the item table. The defaults are pmixer's; other settings make it the encoder that RecBole and DuoRec
    have, which has gelu, a norm on its inputs and positions from the oldest step on.

    Deviates: attention is kept off padding. In the public code the zero vectors of padding take part in every softmax,
    so that a user's state depends on how much padding stands before it; `key_padding: false` does the same. Weights
    start by Xavier, as in EIDP's protocol.

    Args:
        config: the hyperparameters.
        catalog: what is known of the data set.
        has_mask: whether the item table has a row for [MASK].
    """

    Config = SasRecConfig
    config: SasRecConfig
    reads = "items"
    told_target_set = False
    is_causal = True

    def __init__(self, config: SasRecConfig, catalog: Catalog, *, has_mask: bool = False) -> None:
        super().__init__(config, catalog)
        size = config.embedding_size
        self.items = ItemTable(catalog.num_items, size, has_mask=has_mask)
        self.positions = Positions(config.max_length, size)
        self.blocks = nn.ModuleList(self._block(config) for _ in range(config.num_blocks))
        if config.outer_norm == "input":
            self.input_norm = nn.LayerNorm(size, config.layer_norm_eps)
        else:
            self.final_norm = nn.LayerNorm(size, config.layer_norm_eps)
        self.dropout = Dropout(config.dropout)
        self.item_scale = size**0.5 if config.init == "xavier" else 1.0
        initialize(self, config.init)

    @staticmethod
    def _block(config: SasRecConfig) -> TransformerBlock:
        size = config.embedding_size
        # RecBole's feed-forward network has gelu, and no dropout inside.
        is_relu = config.activation == "relu"
        activation = functional.relu if is_relu else functional.gelu
        inner_dropout = config.dropout if is_relu else 0.0
        return TransformerBlock(
            MultiHeadAttention(size, config.num_heads, config.dropout),
            FeedForward(size, size * config.ffn_multiple, activation, inner_dropout),
            config.dropout,
            config.layer_norm_eps,
            config.norm,
        )

    def encode(self, batch: Batch) -> Tensor:
        """Compute the states of all steps.

        Returns:
            states_BLD.
        """
        return self.encode_items(batch.items_BL)

    def encode_items(self, items_BL: Tensor) -> Tensor:
        """Compute the states of all steps of any left-padded items, such as augmented ones.

        Returns:
            states_BLD.
        """
        items_BL = items_BL[:, -self.max_length :]
        real_BL = items_BL > 0
        visible_BL = real_BL if self.config.key_padding else torch.ones_like(real_BL)
        mask_B1LL = causal_mask(visible_BL, self.items.weight.dtype)

        # Embed items and positions.
        items_BLD = self.items(items_BL) * self.item_scale
        states_BLD = items_BLD + self._positions(real_BL) * real_BL[..., None]
        if self.config.outer_norm == "input":
            states_BLD = self.input_norm(states_BLD)
        states_BLD = self.dropout(states_BLD)

        for block in self.blocks:
            states_BLD = block(states_BLD, mask_B1LL)
        return self.final_norm(states_BLD) if self.config.outer_norm == "final" else states_BLD

    def _positions(self, real_BL: Tensor) -> Tensor:
        """Look up the position of every step, positions_BLD or, where all users have the same, positions_LD."""
        if self.config.positions == "newest":  # which has the last row
            return self.positions.weight[-real_BL.shape[1] :]
        places_BL = (real_BL.cumsum(dim=1) - 1).clamp_min(0)
        return self.positions(places_BL)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute `next`, the weighted mean loss of the next item over real steps."""
        batch = batch.newest(self.max_length)

        def compute(part: Batch) -> Tensor:
            return self.next_item_loss(self.encode(part), part)

        losses = in_micro_batches(compute, batch, self.items)
        return {"next": self.mean(losses, self.weights(batch))}

    def next_item_loss(self, states_BLD: Tensor, batch: Batch) -> Tensor:
        """Sum the weighted losses of the next item over the real steps of a batch or a micro-batch."""
        return self.items.next_item_loss(states_BLD, batch, self.weights(batch), self.config.loss)

    def final_states(self, batch: Batch) -> Tensor:
        """Return the state of the newest step."""
        return self.encode(batch)[:, -1]

    def item_vectors(self) -> Tensor:
        """Return the item table, unscaled."""
        return self.items.vectors_VD
