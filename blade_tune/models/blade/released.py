"""BLADE as the authors' release computes it, built from facts about that release, not from its code.

It differs from the paper, and the paper's Table 1 was presumably made by it: plain attention in the intermediate path,
an early path with blocks of its own, other residuals, cosine contrast, and views that differ by dropout alone (`none`).
"""

from typing import ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from blade_tune.augment.behaviors import SetViews
from blade_tune.batch import Batch, Catalog
from blade_tune.layers.attention import MultiHeadAttention
from blade_tune.layers.behavior_sets import BehaviorSetEmbedding
from blade_tune.layers.dropout import Dropout
from blade_tune.layers.experts import Experts
from blade_tune.layers.feed_forward import FeedForward
from blade_tune.layers.identity import Positions
from blade_tune.layers.initialization import initialize
from blade_tune.losses import contrastive, richness
from blade_tune.models.base import (
    AttentionConfig,
    Augmentation,
    ItemTable,
    NeuralRecommender,
    SetAugmentationConfig,
    in_pieces,
)
from blade_tune.models.blade.fusion import FusionName, SumFusion


class BladeReleasedConfig(AttentionConfig, SetAugmentationConfig):
    """Hyperparameters of the authors' release; the defaults are its published setting for QK-Video."""

    num_blocks: int = Field(3, ge=1, le=8, description="stacked blocks of the intermediate path")
    num_heads: int = Field(8, ge=1, le=16, description="heads of the intermediate path and of cross-attention")
    dropout: float = Field(
        0.3, ge=0.0, le=0.9, description="dropout rate of the intermediate path and of cross-attention"
    )
    num_experts: int = Field(4, ge=1, le=64, description="experts in each intermediate block")
    early_num_blocks: int = Field(2, ge=1, le=8, description="stacked blocks of the early path")
    early_num_heads: int = Field(2, ge=1, le=16, description="heads of the early path; must divide embedding_size")
    early_dropout: float = Field(0.2, ge=0.0, le=0.9, description="dropout rate of the early path")
    fusion: FusionName = Field("sum", description="early fusion of item and behavior embeddings")
    alpha: float = Field(0.6, ge=0.0, le=1.0, description="share of the intermediate path in the fused states")
    lambda_: float = Field(0.001, ge=0.0, le=100.0, description="weight of the contrastive loss")
    augmentation: Augmentation = Field(
        "none", description="operator that makes the views; the release's changes nothing"
    )
    tau: float = Field(0.01, gt=0.0, le=1000.0, description="temperature of the contrastive loss (cosine)")
    layer_norm_eps: float = Field(1e-8, gt=0.0, le=1e-3, description="epsilon of every LayerNorm")

    @model_validator(mode="after")
    def _early_heads_divide_size(self) -> Self:
        if self.embedding_size % self.early_num_heads:
            raise ValueError(
                "embedding_size must be divisible by early_num_heads, "
                f"got {self.embedding_size} and {self.early_num_heads}"
            )
        return self


class ConcatPerceptron(nn.Module):
    """gelu([E; B] W1 + b1) W2 + b2."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(2 * size, size), nn.GELU(), nn.Linear(size, size))

    def forward(self, items_BLD: Tensor, behaviors_BLD: Tensor) -> Tensor:
        """Fuse."""
        return self.project(torch.cat((items_BLD, behaviors_BLD), dim=-1))


class JointGate(nn.Module):
    """softmax over two logits, both from [E; B], weighs E and B."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(2 * size, size), nn.ReLU(), nn.Linear(size, 2))

    def forward(self, items_BLD: Tensor, behaviors_BLD: Tensor) -> Tensor:
        """Fuse."""
        weights_BL2 = torch.softmax(self.score(torch.cat((items_BLD, behaviors_BLD), dim=-1)), dim=-1)
        return weights_BL2[..., :1] * items_BLD + weights_BL2[..., 1:] * behaviors_BLD


class ResidualFeedForward(FeedForward):
    """e(r) = r + drop(gelu(drop(r W1 + b1)) W2 + b2)."""

    def __init__(self, size: int, dropout: float) -> None:
        super().__init__(size, size, inner_dropout=dropout)

    def forward(self, states_BLD: Tensor) -> Tensor:
        """Transform each step by itself."""
        return states_BLD + self.dropout(super().forward(states_BLD))


class NormedAttention(nn.Module):
    """LN(attention + queries)."""

    def __init__(self, size: int, num_heads: int, dropout: float, eps: float) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(size, num_heads, dropout)
        self.norm = nn.LayerNorm(size, eps)
        self.dropout = Dropout(dropout)

    def forward(self, queries_BLD: Tensor, keys_BLD: Tensor, mask_B1LL: Tensor) -> Tensor:
        """Attend from queries to keys."""
        return self.norm(self.dropout(self.attention(queries_BLD, keys_BLD, mask_B1LL)) + queries_BLD)


class ReleasedEarlyBlock(nn.Module):
    """x1 = LN(x + LN(att(x) + x)); out = LN(e(x1))."""

    def __init__(self, config: BladeReleasedConfig) -> None:
        super().__init__()
        size, eps = config.embedding_size, config.layer_norm_eps
        self.attention = NormedAttention(size, config.early_num_heads, config.early_dropout, eps)
        self.attention_norm = nn.LayerNorm(size, eps)
        self.feed_forward = ResidualFeedForward(size, config.early_dropout)
        self.feed_forward_norm = nn.LayerNorm(size, eps)

    def forward(self, states_BLD: Tensor, mask_B1LL: Tensor) -> Tensor:
        """One block."""
        states_BLD = self.attention_norm(states_BLD + self.attention(states_BLD, states_BLD, mask_B1LL))
        return self.feed_forward_norm(self.feed_forward(states_BLD))


class ReleasedIntermediateBlock(nn.Module):
    """x1 as in the early block; out = LN(x1 + sum_i phi_i e_i(x1)), phi = softmax(B W) without bias."""

    def __init__(self, config: BladeReleasedConfig) -> None:
        super().__init__()
        size, eps = config.embedding_size, config.layer_norm_eps
        self.attention = NormedAttention(size, config.num_heads, config.dropout, eps)
        self.attention_norm = nn.LayerNorm(size, eps)
        self.router = nn.Linear(size, config.num_experts, bias=False)
        self.experts = Experts(size, size, config.num_experts, config.dropout, config.dropout)
        self.experts_norm = nn.LayerNorm(size, eps)

    def forward(self, states_BLD: Tensor, behaviors_BLD: Tensor, mask_B1LL: Tensor) -> Tensor:
        """One block."""
        states_BLD = self.attention_norm(states_BLD + self.attention(states_BLD, states_BLD, mask_B1LL))
        gates_BLE = torch.softmax(self.router(behaviors_BLD), dim=-1)
        # The experts' own residuals sum to one more x1, for the gates sum to 1.
        return self.experts_norm(2.0 * states_BLD + self.experts(states_BLD, gates_BLE))


class BladeReleased(NeuralRecommender):
    """The release's BLADE."""

    Config = BladeReleasedConfig
    config: BladeReleasedConfig
    reads = "sets"
    told_target_set = True
    is_causal = True
    ablations: ClassVar = {  # of BLADE's Table 3 all but the weights, which are no setting here
        "w/o EF": {"model.alpha": 1.0},
        "w/o IF": {"model.alpha": 0.0},
        "w/o CL": {"model.lambda_": 0.0},
    }

    def __init__(self, config: BladeReleasedConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        size, eps = config.embedding_size, config.layer_norm_eps
        self.items = ItemTable(catalog.num_items, size)
        self.positions = Positions(config.max_length, size, padding_idx=0)
        self.sets = BehaviorSetEmbedding(catalog.num_users, catalog.num_behaviors, size, "all")
        self.fusion = {"sum": SumFusion, "concat": ConcatPerceptron, "gate": JointGate}[config.fusion](size)
        self.early_blocks = nn.ModuleList(ReleasedEarlyBlock(config) for _ in range(config.early_num_blocks))
        self.intermediate_blocks = nn.ModuleList(ReleasedIntermediateBlock(config) for _ in range(config.num_blocks))
        self.cross = NormedAttention(size, config.num_heads, config.dropout, eps)
        self.feed_forward = ResidualFeedForward(size, config.dropout)
        self.feed_forward_norm = nn.LayerNorm(size, eps)
        self.dropout = Dropout(config.dropout)
        self.early_dropout = Dropout(config.early_dropout)
        self.views = SetViews(config.augmentation, config.rho, config.mask_exponent, catalog)
        initialize(self, "xavier")

    def encode(self, batch: Batch) -> Tensor:
        """The user states (B, L, D)."""
        return self._ask(batch, batch.items_BL.shape[1])

    def _ask(self, batch: Batch, newest: int) -> Tensor:
        """The user states of so many of the newest steps."""
        mask_B1LL = additive_mask(batch.real_BL, self.items.weight.dtype)
        fused_BLD = self.fuse(batch, mask_B1LL)
        targets_BMD = self.sets(batch.users_B, batch.target_sets_BLK[:, -newest:])
        return self.feed_forward_norm(self.feed_forward(self.cross(targets_BMD, fused_BLD, mask_B1LL[:, :, -newest:])))

    def fuse(self, batch: Batch, mask_B1LL: Tensor) -> Tensor:
        """Both paths, joined; gives fused_BLD."""
        behaviors_BLD = self.sets(batch.users_B, batch.sets_BLK)
        items_BLD = self.items(batch.items_BL) * self.items.embedding_dim**0.5
        # Looked up, not read off the table: a lookup gives row 0, the padding row, no gradient, so it stays zero.
        newest_L = torch.arange(self.max_length, device=batch.items_BL.device)[-batch.items_BL.shape[1] :]
        positions_LD = self.positions(newest_L)
        early_BLD = self.early_dropout(self.fusion(items_BLD, behaviors_BLD) + positions_LD)
        intermediate_BLD = self.dropout(items_BLD + positions_LD)
        for block in self.early_blocks:
            early_BLD = block(early_BLD, mask_B1LL)
        for block in self.intermediate_blocks:
            intermediate_BLD = block(intermediate_BLD, behaviors_BLD, mask_B1LL)
        return self.config.alpha * intermediate_BLD + (1.0 - self.config.alpha) * early_BLD

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """`next`: richness-weighted, over the sum of weights; `contrastive`: lambda times InfoNCE of two views.

        All goes piece by piece of the batch. The contrast is over padding too, whose states depend on the whole window,
        so only the original is cut to its real steps.
        """

        def next_item_loss(piece: Batch) -> Tensor:
            return self.items.next_item_loss(self.encode(piece), piece, self._weights(piece), self.config.loss)

        def views(piece: Batch) -> tuple[Tensor, ...]:
            return self.encode(piece.stacked(self.views(piece), self.views(piece))).flatten(1).chunk(2)

        tables = (self.items, (self.sets.user_factors,))
        losses = in_pieces(next_item_loss, batch, *tables)
        terms = {"next": self.mean(losses, self._weights(batch))}
        if self.config.lambda_:
            first, second = map(torch.cat, zip(*in_pieces(views, batch, *tables, self.max_length), strict=True))
            terms["contrastive"] = self.config.lambda_ * contrastive(first, second, "cosine", self.config.tau)
        return terms

    def final_states(self, batch: Batch) -> Tensor:
        """The user states after the newest step, the only one that asks its history."""
        return self._ask(batch, 1)[:, 0]

    def item_vectors(self) -> Tensor:
        """The item table, unscaled."""
        return self.items.vectors_VD

    def _weights(self, batch: Batch) -> Tensor:
        return richness(batch.target_sets_BLK, self.items.weight.dtype) * self.weights(batch)


def additive_mask(real_BL: Tensor, dtype: torch.dtype) -> Tensor:
    """-100,000 on later steps and on padding, as scores to add: where all keys are masked, all stay equally so."""
    L = real_BL.shape[1]
    lower_LL = torch.ones(L, L, dtype=torch.bool, device=real_BL.device).tril()
    allow_B1LL = (lower_LL & real_BL[:, None, :])[:, None]
    return torch.where(allow_B1LL, 0.0, -1e5).to(dtype)
