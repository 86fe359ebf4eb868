"""BLADE as its paper describes it (AAAI 2026): dual item-behavior fusion, behavior-level augmentation, and contrast.

Where the paper is silent, ambiguous or wrong, a docstring says what was decided. `Deviates:` marks what differs.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from blade_tune.augment.behaviors import SetViews
from blade_tune.batch import Batch
from blade_tune.catalog import Catalog
from blade_tune.layers.attention import BehaviorAwareAttention, MultiHeadAttention, causal_mask
from blade_tune.layers.behavior_sets import BehaviorSetEmbedding
from blade_tune.layers.dropout import Dropout
from blade_tune.layers.experts import Experts
from blade_tune.layers.feed_forward import FeedForward
from blade_tune.layers.identity import NearIdentity, Positions, blur
from blade_tune.layers.initialization import initialize
from blade_tune.layers.transformer import TransformerBlock
from blade_tune.losses import contrastive, richness
from blade_tune.models.base import NeuralRecommender
from blade_tune.models.blade.fusion import FUSIONS
from blade_tune.models.item_table import ItemTable
from blade_tune.models.micro_batches import in_micro_batches
from blade_tune.models.settings.blade import BladeConfig


def early_block(config: BladeConfig) -> TransformerBlock:
    """Build a block of the early path: self-attention and feed-forward with post-norm residuals (Eq. 4)."""
    size = config.embedding_size
    return TransformerBlock(
        MultiHeadAttention(size, config.num_heads, config.dropout),
        FeedForward(size, size * config.ffn_multiple),
        config.dropout,
        config.layer_norm_eps,
    )


class IntermediateBlock(nn.Module):
    """A block of the intermediate path: behavior-aware attention, then experts that sets route to (Eq. 5 to 7)."""

    def __init__(self, config: BladeConfig) -> None:
        super().__init__()
        size = config.embedding_size
        self.attention = BehaviorAwareAttention(size, config.num_heads, config.dropout)
        self.attention_norm = nn.LayerNorm(size, config.layer_norm_eps)
        self.router = nn.Linear(size, config.num_experts)
        self.experts = Experts(size, size * config.ffn_multiple, config.num_experts)
        self.experts_norm = nn.LayerNorm(size, config.layer_norm_eps)
        self.dropout = Dropout(config.dropout)

    def forward(self, states_BLD: Tensor, behaviors_BLD: Tensor, mask_B1LL: Tensor) -> Tensor:
        """Apply the block.

        Args:
            states_BLD: the states of items.
            behaviors_BLD: the embeddings of the steps' behavior sets, the same for every block.
            mask_B1LL: added to attention scores.
        """
        # Behavior-aware attention (Eq. 5 and 6).
        attended_BLD = self.attention(states_BLD, behaviors_BLD, mask_B1LL)
        states_BLD = self.attention_norm(states_BLD + self.dropout(attended_BLD))

        # Experts (Eq. 7).
        gates_BLE = torch.softmax(self.router(behaviors_BLD), dim=-1)
        mixed_BLD = self.experts(states_BLD, gates_BLE)
        return self.experts_norm(states_BLD + self.dropout(mixed_BLD))


class CrossBlock(NearIdentity):
    """Cross-attention of one head from the target's behavior set to the fused history, then feed-forward (Eq. 9, 10).

    Deviates: an output projection follows the attention, as in every other attention; Eq. 10 writes none.
    """

    def __init__(self, config: BladeConfig) -> None:
        super().__init__()
        size = config.embedding_size
        self.residual = config.cross_residual
        self.attention = MultiHeadAttention(size, 1, config.dropout)
        self.attention_norm = nn.LayerNorm(size, config.layer_norm_eps)
        self.feed_forward = FeedForward(size, size * config.ffn_multiple)
        self.feed_forward_norm = nn.LayerNorm(size, config.layer_norm_eps)
        self.dropout = Dropout(config.dropout)

    def forward(self, targets_BLD: Tensor, fused_BLD: Tensor, mask_B1LL: Tensor) -> Tensor:
        """Compute the user states of the newest M steps.

        Args:
            targets_BLD: the embedded target sets of those steps, (B, M, D).
            fused_BLD: the fused states of all steps.
            mask_B1LL: added to attention scores, (B, 1, M, L).
        """
        attended_BLD = self.attention(targets_BLD, fused_BLD, mask_B1LL)
        num_newest = targets_BLD.shape[1]
        residual_BLD = targets_BLD if self.residual == "query" else fused_BLD[:, -num_newest:]
        states_BLD = self.attention_norm(residual_BLD + self.dropout(attended_BLD))
        forwarded_BLD = self.feed_forward(states_BLD)
        return self.feed_forward_norm(states_BLD + self.dropout(forwarded_BLD))

    def near_identity(self) -> None:
        """Start by passing on the fused states if they are the residual, and by gathering their mean otherwise."""
        if self.residual == "fused":
            blur(self.attention.value, self.attention.output)


class Blade(NeuralRecommender):
    """BLADE: an early and an intermediate fusion path, joined, and attended to from the target behavior set.

    The early path fuses items and behavior sets before its blocks (Eq. 2 to 4); in the intermediate path behavior sets
    steer attention and choose experts (Eq. 5 to 7). Their states are mixed by alpha (Eq. 8).
    """

    Config = BladeConfig
    config: BladeConfig
    told_target_set = True
    is_causal = True
    # Those of BLADE's Table 3, the contrast of two dropout passes, and past steps without their sets
    ablations: ClassVar = {
        "w/o early fusion (EF)": {"model.alpha": 1.0},
        "w/o intermediate fusion (IF)": {"model.alpha": 0.0},
        "w/o contrastive learning (CL)": {"model.lambda_": 0.0},
        "w/o behavior richness weights (BRW)": {"model.richness_weight": False},
        "w/o data augmentation (DA)": {"model.augmentation": "none"},
        "w/o sets": {"model.read_sets": False},
    }

    def __init__(self, config: BladeConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        self.reads = "sets" if config.read_sets else "items"
        size, depth = config.embedding_size, config.num_blocks

        # The embeddings of items, positions and behavior sets.
        self.items = ItemTable(catalog.num_items, size)
        self.item_scale = size**0.5 if config.init == "xavier" else 1.0
        self.positions = Positions(config.max_length, size)
        self.sets = BehaviorSetEmbedding(
            catalog.num_users, catalog.num_behaviors, size, config.set_softmax
        )

        # The early path, the intermediate path, and the attention to both.
        self.fusion = FUSIONS[config.fusion](size)
        self.early_blocks = nn.ModuleList(early_block(config) for _ in range(depth))
        self.intermediate_blocks = nn.ModuleList(IntermediateBlock(config) for _ in range(depth))
        self.cross = CrossBlock(config)
        self.dropout = Dropout(config.dropout)
        self.views = SetViews(config.operator, config.rho, config.mask_exponent, catalog)
        initialize(self, config.init)
        if config.factor_init == "ones":
            nn.init.ones_(self.sets.user_factors.weight)

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Compute the states of all steps.

        Returns:
            The user states U after cross-attention, and the fused states before it, both (B, L, D).
        """
        batch = batch.newest(self.max_length)
        return self._attend_from_targets(batch, batch.items_BL.shape[1])

    def _attend_from_targets(self, batch: Batch, newest: int) -> tuple[Tensor, Tensor]:
        """Compute the user states of the given number of newest steps, and all fused states."""
        mask_B1LL = causal_mask(batch.real_BL, self.items.weight.dtype)
        fused_BLD = self.fuse(batch, mask_B1LL)
        targets_BMD = self.sets(batch.users_B, batch.target_sets_BLK[:, -newest:])
        states_BMD = self.cross(targets_BMD, fused_BLD, mask_B1LL[:, :, -newest:])
        return states_BMD, fused_BLD

    def fuse(self, batch: Batch, mask_B1LL: Tensor) -> Tensor:
        """Apply both paths and mix their states (Eq. 1 to 8).

        Returns:
            fused_BLD.
        """
        # Embed sets (Eq. 1), items, and positions, of which the newest step has the last one.
        sets_BLK = batch.sets_BLK if self.config.read_sets else torch.zeros_like(batch.sets_BLK)
        behaviors_BLD = self.sets(batch.users_B, sets_BLK)
        items_BLD = self.items(batch.items_BL) * self.item_scale
        positions_LD = self.positions.weight[-items_BLD.shape[1] :]

        # Fuse early (Eq. 2), or not at all; positions are added after (Eq. 3).
        fused_BLD = self.fusion(items_BLD, behaviors_BLD)
        early_BLD = self.dropout(fused_BLD + positions_LD)
        intermediate_BLD = self.dropout(items_BLD + positions_LD)

        # Apply the blocks of both paths (Eq. 4, and Eq. 5 to 7).
        for block in self.early_blocks:
            early_BLD = block(early_BLD, mask_B1LL)
        for block in self.intermediate_blocks:
            intermediate_BLD = block(intermediate_BLD, behaviors_BLD, mask_B1LL)

        # Mix their states (Eq. 8).
        alpha = self.config.alpha
        return alpha * intermediate_BLD + (1.0 - alpha) * early_BLD

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the terms of the loss.

        The original and both views go through one forward pass, in micro-batches.

        Deviates: Eq. 16 indexes step l's own item where the next one is meant.

        Returns:
            `next`, the richness-weighted loss of the next item (Eq. 16), and, if lambda is not 0, `contrastive`,
            lambda times InfoNCE of two views (Eq. 19).
        """
        batch = batch.newest(self.max_length)
        num_views = 2 if self.config.lambda_ else 0

        def compute(part: Batch) -> tuple[Tensor, ...]:
            views = (self.views(part) for _ in range(num_views))
            states_XLD, fused_XLD = self.encode(part.stacked(part.sets_BLK, *views))
            num_users = len(part)
            loss = self._next_item_loss(states_XLD[:num_users], part)
            if not num_views:
                return (loss,)
            contrasted_XLD = states_XLD if self.config.contrast_on == "user" else fused_XLD
            return (loss, *self._contrasted(contrasted_XLD[num_users:], part))

        user_tables = (self.sets.user_factors,)
        computed = in_micro_batches(compute, batch, self.items, user_tables)
        losses, *views = zip(*computed, strict=True)
        terms = {"next": self.mean(losses, self.weights(batch))}
        if views:
            first, second = map(torch.cat, views)
            contrast = contrastive(first, second, self.config.similarity, self.config.tau)
            terms["contrastive"] = self.config.lambda_ * contrast
        return terms

    def final_states(self, batch: Batch) -> Tensor:
        """Compute the user states after the newest step; of that step alone a target set attends to the history."""
        states_BMD, _ = self._attend_from_targets(batch.newest(self.max_length), newest=1)
        return states_BMD[:, 0]

    def item_vectors(self) -> Tensor:
        """Return the item table, unscaled."""
        return self.items.vectors_VD

    def _next_item_loss(self, states_BLD: Tensor, batch: Batch) -> Tensor:
        """Sum the weighted losses of the real steps."""
        weights_BL = self.weights(batch)
        if self.config.richness_weight:
            weights_BL = weights_BL * richness(batch.target_sets_BLK, states_BLD.dtype)
        return self.items.next_item_loss(states_BLD, batch, weights_BL, self.config.loss)

    def _contrasted(self, states_XLD: Tensor, batch: Batch) -> tuple[Tensor, ...]:
        """Flatten the states of each view into one vector for each user, zero at padding.

        Returns:
            For each view (B, L D), where L is the model's `max_length` however long the windows are.
        """
        padding_BL1 = ~batch.real_BL[..., None]
        missing = self.max_length - states_XLD.shape[1]
        views = []
        for states_BLD in states_XLD.split(len(batch)):
            states_BLD = states_BLD.masked_fill(padding_BL1, 0.0)
            states_BLD = functional.pad(states_BLD, (0, 0, missing, 0))
            views.append(states_BLD.flatten(1))
        return tuple(views)
