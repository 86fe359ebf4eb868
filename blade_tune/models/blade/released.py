"""BLADE as the authors' release computes it, built from facts about that release, not from its code.

It differs from the paper, whose Table 1 was presumably made with it. The intermediate path has plain attention, the
early path has blocks of its own, residuals differ, the contrast is by cosine, and views differ by dropout alone
(`augmentation: none`).
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from blade_tune.augment.behaviors import SetViews
from blade_tune.batch import Batch
from blade_tune.catalog import Catalog
from blade_tune.choices import FusionName
from blade_tune.layers.attention import MultiHeadAttention
from blade_tune.layers.behavior_sets import BehaviorSetEmbedding
from blade_tune.layers.dropout import Dropout
from blade_tune.layers.experts import Experts
from blade_tune.layers.feed_forward import FeedForward
from blade_tune.layers.identity import Positions
from blade_tune.layers.initialization import initialize
from blade_tune.losses import contrastive, richness
from blade_tune.models.base import NeuralRecommender
from blade_tune.models.blade.fusion import SumFusion
from blade_tune.models.item_table import ItemTable
from blade_tune.models.micro_batches import in_micro_batches
from blade_tune.models.settings.blade import BladeReleasedConfig


class ConcatPerceptron(nn.Module):
    """Fusion by a perceptron, gelu([E; B] W1 + b1) W2 + b2."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(2 * size, size), nn.GELU(), nn.Linear(size, size))

    def forward(self, items_BLD: Tensor, behaviors_BLD: Tensor) -> Tensor:
        """Fuse the embeddings of each step's item and behavior set into fused_BLD."""
        return self.project(torch.cat((items_BLD, behaviors_BLD), dim=-1))


class JointGate(nn.Module):
    """Fusion by a gate: the softmax of two logits, both computed from [E; B], weighs E and B."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(2 * size, size), nn.ReLU(), nn.Linear(size, 2))

    def forward(self, items_BLD: Tensor, behaviors_BLD: Tensor) -> Tensor:
        """Fuse the embeddings of each step's item and behavior set into fused_BLD."""
        both_BLX = torch.cat((items_BLD, behaviors_BLD), dim=-1)
        weights_BL2 = torch.softmax(self.score(both_BLX), dim=-1)
        return weights_BL2[..., :1] * items_BLD + weights_BL2[..., 1:] * behaviors_BLD


FUSIONS: dict[FusionName, type[nn.Module]] = {
    "sum": SumFusion,
    "concat": ConcatPerceptron,
    "gate": JointGate,
}


class ReleasedFeedForward(FeedForward):
    """A feed-forward network with a residual, r + drop(gelu(drop(r W1 + b1)) W2 + b2), without a norm."""

    def __init__(self, size: int, dropout: float) -> None:
        super().__init__(size, size, inner_dropout=dropout)

    def forward(self, states_BLD: Tensor) -> Tensor:
        """Transform each step by itself."""
        return states_BLD + self.dropout(super().forward(states_BLD))


class NormedAttention(nn.Module):
    """Attention with a residual and a norm, LN(attention + queries)."""

    def __init__(self, size: int, num_heads: int, dropout: float, eps: float) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(size, num_heads, dropout)
        self.norm = nn.LayerNorm(size, eps)
        self.dropout = Dropout(dropout)

    def forward(self, queries_BLD: Tensor, keys_BLD: Tensor, mask_B1LL: Tensor) -> Tensor:
        """Attend from queries to keys, which are the values too; the mask is added to scores."""
        attended_BLD = self.attention(queries_BLD, keys_BLD, mask_B1LL)
        return self.norm(self.dropout(attended_BLD) + queries_BLD)


class ReleasedEarlyBlock(nn.Module):
    """A block of the early path: x1 = LN(x + LN(att(x) + x)), then LN(e(x1)) with e a ReleasedFeedForward."""

    def __init__(self, config: BladeReleasedConfig) -> None:
        super().__init__()
        size, eps = config.embedding_size, config.layer_norm_eps
        self.attention = NormedAttention(size, config.early_num_heads, config.early_dropout, eps)
        self.attention_norm = nn.LayerNorm(size, eps)
        self.feed_forward = ReleasedFeedForward(size, config.early_dropout)
        self.feed_forward_norm = nn.LayerNorm(size, eps)

    def forward(self, states_BLD: Tensor, mask_B1LL: Tensor) -> Tensor:
        """Apply the block; the mask is added to attention scores."""
        attended_BLD = self.attention(states_BLD, states_BLD, mask_B1LL)
        states_BLD = self.attention_norm(states_BLD + attended_BLD)
        return self.feed_forward_norm(self.feed_forward(states_BLD))


class ReleasedIntermediateBlock(nn.Module):
    """A block of the intermediate path, in which the embedded behavior set B chooses among experts.

    x1 = LN(x + LN(att(x) + x)), then LN(x1 + sum_i phi_i e_i(x1)) with gates phi = softmax(B W), without a bias.
    """

    def __init__(self, config: BladeReleasedConfig) -> None:
        super().__init__()
        size, eps = config.embedding_size, config.layer_norm_eps
        self.attention = NormedAttention(size, config.num_heads, config.dropout, eps)
        self.attention_norm = nn.LayerNorm(size, eps)
        self.router = nn.Linear(size, config.num_experts, bias=False)
        self.experts = Experts(size, size, config.num_experts, config.dropout, config.dropout)
        self.experts_norm = nn.LayerNorm(size, eps)

    def forward(self, states_BLD: Tensor, behaviors_BLD: Tensor, mask_B1LL: Tensor) -> Tensor:
        """Apply the block; the mask is added to attention scores."""
        attended_BLD = self.attention(states_BLD, states_BLD, mask_B1LL)
        states_BLD = self.attention_norm(states_BLD + attended_BLD)
        gates_BLE = torch.softmax(self.router(behaviors_BLD), dim=-1)
        # The experts' own residuals sum to one more x1, for the gates sum to 1.
        residual_BLD = 2.0 * states_BLD
        return self.experts_norm(residual_BLD + self.experts(states_BLD, gates_BLE))


class BladeReleased(NeuralRecommender):
    """BLADE as released: the two paths of the paper, mixed by alpha and attended to from the target behavior set.

    Its contrast is over padding too, whose states depend on the whole window.
    """

    Config = BladeReleasedConfig
    config: BladeReleasedConfig
    told_target_set = True
    is_causal = True
    # Those of `blade`, but for that of the weights, which are no setting here
    ablations: ClassVar = {
        "w/o early fusion (EF)": {"model.alpha": 1.0},
        "w/o intermediate fusion (IF)": {"model.alpha": 0.0},
        "w/o contrastive learning (CL)": {"model.lambda_": 0.0},
        "w/o data augmentation (DA)": {"model.augmentation": "none"},
        "w/o sets": {"model.read_sets": False},
    }

    def __init__(self, config: BladeReleasedConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        self.reads = "sets" if config.read_sets else "items"
        size, eps = config.embedding_size, config.layer_norm_eps
        self.items = ItemTable(catalog.num_items, size)
        self.positions = Positions(config.max_length, size, padding_idx=0)
        self.sets = BehaviorSetEmbedding(catalog.num_users, catalog.num_behaviors, size, "all")
        self.fusion = FUSIONS[config.fusion](size)
        self.early_blocks = nn.ModuleList(
            ReleasedEarlyBlock(config) for _ in range(config.early_num_blocks)
        )
        self.intermediate_blocks = nn.ModuleList(
            ReleasedIntermediateBlock(config) for _ in range(config.num_blocks)
        )
        self.cross = NormedAttention(size, config.num_heads, config.dropout, eps)
        self.feed_forward = ReleasedFeedForward(size, config.dropout)
        self.feed_forward_norm = nn.LayerNorm(size, eps)
        self.dropout = Dropout(config.dropout)
        self.early_dropout = Dropout(config.early_dropout)
        self.views = SetViews(config.operator, config.rho, config.mask_exponent, catalog)
        initialize(self, "xavier")

    def encode(self, batch: Batch) -> Tensor:
        """Compute the user states of all steps.

        Returns:
            states_BLD.
        """
        batch = batch.newest(self.max_length)
        return self._attend_from_targets(batch, batch.items_BL.shape[1])

    def _attend_from_targets(self, batch: Batch, newest: int) -> Tensor:
        """Compute the user states of the given number of newest steps."""
        mask_B1LL = additive_mask(batch.real_BL, self.items.weight.dtype)
        fused_BLD = self.fuse(batch, mask_B1LL)
        targets_BMD = self.sets(batch.users_B, batch.target_sets_BLK[:, -newest:])
        states_BMD = self.cross(targets_BMD, fused_BLD, mask_B1LL[:, :, -newest:])
        return self.feed_forward_norm(self.feed_forward(states_BMD))

    def fuse(self, batch: Batch, mask_B1LL: Tensor) -> Tensor:
        """Apply both paths and mix their states.

        Returns:
            fused_BLD.
        """
        sets_BLK = batch.sets_BLK if self.config.read_sets else torch.zeros_like(batch.sets_BLK)
        behaviors_BLD = self.sets(batch.users_B, sets_BLK)
        items_BLD = self.items(batch.items_BL) * self.items.embedding_dim**0.5
        # The newest step has the last position. A lookup, unlike a slice of the table, leaves row 0, the padding row,
        # without a gradient, so it stays zero.
        all_positions_L = torch.arange(self.max_length, device=batch.items_BL.device)
        positions_LD = self.positions(all_positions_L[-batch.items_BL.shape[1] :])

        # Fuse early, or not at all.
        fused_BLD = self.fusion(items_BLD, behaviors_BLD)
        early_BLD = self.early_dropout(fused_BLD + positions_LD)
        intermediate_BLD = self.dropout(items_BLD + positions_LD)

        # Apply the blocks of both paths, and mix their states.
        for block in self.early_blocks:
            early_BLD = block(early_BLD, mask_B1LL)
        for block in self.intermediate_blocks:
            intermediate_BLD = block(intermediate_BLD, behaviors_BLD, mask_B1LL)
        alpha = self.config.alpha
        return alpha * intermediate_BLD + (1.0 - alpha) * early_BLD

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the terms of the loss, in micro-batches.

        The contrast is over padding too, so only the windows of the next item's loss are cut to their real steps.

        Returns:
            `next`, the mean loss of the next item by richness weights, and, if lambda is not 0, `contrastive`, lambda
            times InfoNCE of two views.
        """
        batch = batch.newest(self.max_length)

        def next_item_loss(part: Batch) -> Tensor:
            states_BLD = self.encode(part)
            weights_BL = self._weights(part)
            return self.items.next_item_loss(states_BLD, part, weights_BL, self.config.loss)

        def views(part: Batch) -> tuple[Tensor, ...]:
            both_XLD = self.encode(part.stacked(self.views(part), self.views(part)))
            return both_XLD.flatten(1).chunk(2)

        tables = (self.items, (self.sets.user_factors,))
        losses = in_micro_batches(next_item_loss, batch, *tables)
        terms = {"next": self.mean(losses, self._weights(batch))}
        if self.config.lambda_:
            pairs = in_micro_batches(views, batch, *tables, self.max_length)
            first, second = map(torch.cat, zip(*pairs, strict=True))
            contrast = contrastive(first, second, "cosine", self.config.tau)
            terms["contrastive"] = self.config.lambda_ * contrast
        return terms

    def final_states(self, batch: Batch) -> Tensor:
        """Compute the user states after the newest step; of that step alone a target set attends to the history."""
        states_BMD = self._attend_from_targets(batch.newest(self.max_length), newest=1)
        return states_BMD[:, 0]

    def item_vectors(self) -> Tensor:
        """Return the item table, unscaled."""
        return self.items.vectors_VD

    def _weights(self, batch: Batch) -> Tensor:
        """Weigh each target by its richness and by the weights of every model."""
        return richness(batch.target_sets_BLK, self.items.weight.dtype) * self.weights(batch)


def additive_mask(real_BL: Tensor, dtype: torch.dtype) -> Tensor:
    """Make the mask of the release's attention, in which a row of masked keys weighs them all the same.

    Args:
        real_BL: True where a step holds an interaction.
        dtype: of the scores that the mask is added to.

    Returns:
        mask_B1LL: 0 where step l (third axis) may attend to step m (fourth axis), -100,000 on later steps and padding.
    """
    L = real_BL.shape[1]
    lower_LL = torch.ones(L, L, dtype=torch.bool, device=real_BL.device).tril()
    allow_B1LL = (lower_LL & real_BL[:, None, :])[:, None]
    return torch.where(allow_B1LL, 0.0, -1e5).to(dtype)
