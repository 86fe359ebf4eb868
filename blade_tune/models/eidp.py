"""EIDP: explicit and implicit paths through a history of behavior sets, as OshiNoCSMA/EIDP computes them."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from blade_tune.batch import Batch, Catalog
from blade_tune.layers.attention import attend, causal_mask
from blade_tune.layers.behavior_sets import BehaviorSetEmbedding
from blade_tune.layers.dropout import Dropout
from blade_tune.layers.feed_forward import FeedForward
from blade_tune.layers.hamming import TransitionAttention, hamming_distances
from blade_tune.layers.initialization import initialize
from blade_tune.layers.parallel import ParallelFeedForward, ParallelLayerNorm, ParallelLinear
from blade_tune.layers.prob_sparse import draw_keys, prob_sparse_attend
from blade_tune.models.base import AttentionConfig, ItemTable, Recommender, in_pieces, only_when

Attend = Callable[[Tensor, Tensor, Tensor, float], Tensor]  # query_BHMX, key_BHLX, value_BHLX, dropout rate


class EidpConfig(AttentionConfig):
    """Hyperparameters of EIDP; the defaults are those published for QK-Video."""

    layer_norm_eps: float = Field(1e-8, gt=0.0, le=1e-3, description="epsilon of every LayerNorm")
    num_blocks: int = Field(2, ge=1, le=8, description="stacked blocks of each behavior's encoder, C")
    num_heads: int = Field(4, ge=1, le=16, description="heads of these encoders, H; must divide embedding_size")
    dropout: float = Field(
        0.6, ge=0.0, le=0.9, description="dropout rate of embeddings, behaviors' encoders and feed-forward networks"
    )
    dcba_dropout: float = Field(0.6, ge=0.0, le=0.9, description="dropout rate of the explicit path's attention")
    cba_dropout: float = Field(0.8, ge=0.0, le=0.9, description="dropout rate of the attention over behaviors' views")
    attention: Literal["exact", "prob_sparse"] = Field(
        "exact", description="of behaviors' encoders: all queries, off padding, or the public code's ProbSparse"
    )
    sampling_factor: int = Field(
        8,
        ge=1,
        description="a: ProbSparse keeps a ceil(ln L) queries, measured by as many keys; all, where that reaches L",
        json_schema_extra=only_when(attention=("prob_sparse",)),
    )


class FeedForwardBlock(nn.Module):
    """LN(x + drop(FFN(x))), relu, inner width d."""

    def __init__(self, config: EidpConfig) -> None:
        super().__init__()
        size = config.embedding_size
        self.feed_forward = FeedForward(size, size, functional.relu, config.dropout)
        self.norm = nn.LayerNorm(size, config.layer_norm_eps)
        self.dropout = Dropout(config.dropout)

    def forward(self, states_BLD: Tensor) -> Tensor:
        """Transform each step by itself."""
        return self.norm(states_BLD + self.dropout(self.feed_forward(states_BLD)))


class ExplicitPath(nn.Module):
    """Attention in two channels, items and positions, both steered by how far behavior sets are apart (EIDP's EMP)."""

    def __init__(self, config: EidpConfig, catalog: Catalog) -> None:
        super().__init__()
        size = config.embedding_size
        self.query_norm = ParallelLayerNorm(2, size, config.layer_norm_eps)
        self.query = ParallelLinear(2, size)
        self.key = ParallelLinear(2, size)
        self.value = ParallelLinear(2, size)
        self.transition = TransitionAttention(catalog.num_users, catalog.num_behaviors, size)
        self.output = nn.Linear(size, size)
        self.attention_norm = nn.LayerNorm(size, config.layer_norm_eps)
        self.block = FeedForwardBlock(config)
        self.weight_dropout = Dropout(config.dcba_dropout)

    def forward(self, channels_2BLD: Tensor, residual_BMD: Tensor, transition_BML: Tensor, mask_BML: Tensor) -> Tensor:
        """states_BMD of the newest M steps.

        Args:
            channels_2BLD: items and positions, each plus the embeddings of the behavior sets.
            residual_BMD: what the attended values are added to.
            transition_BML: weights of `transition`, added to those of each channel.
            mask_BML: scores to add.
        """
        M, D = residual_BMD.shape[1:]
        query_2BMD = self.query(self.query_norm(channels_2BLD[:, :, -M:])) * D**-0.5
        scores_2BML = query_2BMD @ self.key(channels_2BLD).mT
        weights_2BML = self.weight_dropout(torch.softmax(scores_2BML + mask_BML, dim=-1) + transition_BML)
        attended_BMD = (weights_2BML @ self.value(channels_2BLD)).sum(dim=0)
        return self.block(self.attention_norm(self.output(attended_BMD) + residual_BMD))


class ViewBlock(nn.Module):
    """One block of each behavior's encoder: x = LN(attention of its view), without a residual, then x + FFN(x)."""

    def __init__(self, config: EidpConfig, num_views: int) -> None:
        super().__init__()
        size, self.rate = config.embedding_size, config.dropout
        self.num_heads = config.num_heads
        self.query_norm = ParallelLayerNorm(num_views, size, config.layer_norm_eps)
        self.query = ParallelLinear(num_views, size)
        self.key = ParallelLinear(num_views, size)
        self.value = ParallelLinear(num_views, size)
        self.output = ParallelLinear(num_views, size)
        self.attention_norm = ParallelLayerNorm(num_views, size, config.layer_norm_eps)
        self.feed_forward = ParallelFeedForward(num_views, size, config.dropout)

    def forward(self, views_KBLD: Tensor, newest: int, attend_by: Attend) -> Tensor:
        """views_KBMD of so many of the newest steps. The heads of all views are those of one attention.

        Scores are over sqrt(d), not sqrt(d_h), as in the public code; attention itself divides by the latter.
        """
        query_KBMD = self.query(self.query_norm(views_KBLD[:, :, -newest:])) * self.num_heads**-0.5
        attended_BHMX = attend_by(
            self._heads(query_KBMD),
            self._heads(self.key(views_KBLD)),
            self._heads(self.value(views_KBLD)),
            self.rate if self.training else 0.0,
        )
        attended_BKHMX = attended_BHMX.unflatten(1, (-1, self.num_heads))
        views_KBMD = self.attention_norm(self.output(attended_BKHMX.permute(1, 0, 3, 2, 4).flatten(-2)))
        return views_KBMD + self.feed_forward(views_KBMD)

    def _heads(self, views_KBLD: Tensor) -> Tensor:
        return views_KBLD.unflatten(-1, (self.num_heads, -1)).permute(1, 0, 3, 2, 4).flatten(1, 2)


class ImplicitPath(nn.Module):
    """An encoder for each behavior's view of the history; the target's behaviors ask the views (EIDP's IMP)."""

    def __init__(self, config: EidpConfig, num_views: int) -> None:
        super().__init__()
        size = config.embedding_size
        self.blocks = nn.ModuleList(ViewBlock(config, num_views) for _ in range(config.num_blocks))
        self.views_norm = ParallelLayerNorm(num_views, size, config.layer_norm_eps)  # the same after every block
        self.query = nn.Linear(size, size)
        self.key = nn.Linear(size, size)
        self.value = nn.Linear(size, size)
        self.output = nn.Linear(size, size)
        self.attention_norm = nn.LayerNorm(size, config.layer_norm_eps)
        self.block = FeedForwardBlock(config)
        self.weight_dropout = Dropout(config.cba_dropout)

    def forward(self, views_KBLD: Tensor, targets_BMD: Tensor, attend_by: Attend) -> Tensor:
        """states_BMD of the newest M steps."""
        last, (M, D) = len(self.blocks) - 1, targets_BMD.shape[1:]
        for number, block in enumerate(self.blocks):
            steps = M if number == last else views_KBLD.shape[2]
            views_KBLD = self.views_norm(block(views_KBLD, steps, attend_by))
        scores_KBM1 = (self.key(views_KBLD) * self.query(targets_BMD)).sum(dim=-1, keepdim=True) * D**-0.5
        weights_KBM1 = self.weight_dropout(torch.softmax(scores_KBM1, dim=0))
        attended_BMD = (weights_KBM1 * self.value(views_KBLD)).sum(dim=0)
        return self.block(self.attention_norm(self.output(attended_BMD) + targets_BMD))


class Eidp(Recommender):
    """The mean of an explicit path, by transitions among sets, and an implicit one, by a view of each behavior.

    Weights start by Xavier, biases at zero.

    Deviates: behaviors' encoders compute all queries and see no padding. ProbSparse of the public code
    (`attention: prob_sparse`) draws keys in evaluation too, so that no score repeats, and lets padding be seen, by which
    a step learns of later ones. Row 0 of the item table, which is drawn in the public code, is zero. The softmax of
    `loss: ce` is over items without padding.
    """

    Config = EidpConfig
    reads = "sets"
    told_target_set = True
    is_causal = True  # by default

    def __init__(self, config: EidpConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        self.config = config
        size = config.embedding_size
        self.items = ItemTable(catalog.num_items, size)
        self.positions = nn.Embedding(config.max_length, size)
        self.sets = BehaviorSetEmbedding(catalog.num_users, catalog.num_behaviors, size, "all")
        self.explicit = ExplicitPath(config, catalog)
        self.implicit = ImplicitPath(config, catalog.num_behaviors)
        self.dropout = Dropout(config.dropout)
        initialize(self, "xavier")
        self.explicit.transition.start()

    def encode(self, batch: Batch) -> Tensor:
        """The states of all steps (B, L, D)."""
        return self._encode(batch, batch.items_BL.shape[1])

    def _encode(self, batch: Batch, newest: int) -> Tensor:
        """states_BMD of so many of the newest steps."""
        if self.config.attention == "prob_sparse":  # it sees padding, so there must be as much as in the public code
            batch = _padded(batch, self.max_length)
        explicit_BMD, implicit_BMD = self.paths(batch, newest)
        return (explicit_BMD + implicit_BMD) / 2

    def paths(self, batch: Batch, newest: int) -> tuple[Tensor, Tensor]:
        """What each path, explicit and implicit, makes of the newest steps."""
        items_BLD = self.items(batch.items_BL) * self.config.embedding_size**0.5
        positions_LD = self.positions.weight[-items_BLD.shape[1] :]  # the newest step has the last one
        sets_BLK = batch.sets_BLK.to(items_BLD.dtype)
        behaviors_BLD = self.sets(batch.users_B, sets_BLK)
        mask_B1LL = causal_mask(batch.real_BL, items_BLD.dtype)

        channels_2BLD = torch.stack((items_BLD + behaviors_BLD, positions_LD + behaviors_BLD))
        states_BLD = self.dropout(items_BLD + positions_LD + behaviors_BLD)
        mask_BML = mask_B1LL[:, 0, -newest:]
        distances_BML = hamming_distances(sets_BLK[:, -newest:], sets_BLK)
        transition_BML = self.explicit.transition(batch.users_B, distances_BML, mask_BML)
        residual_BMD = (states_BLD + behaviors_BLD)[:, -newest:]
        explicit_BMD = self.explicit(channels_2BLD, residual_BMD, transition_BML, mask_BML)

        views_KBLD = self.dropout(items_BLD + positions_LD) * self.emphasis(batch.users_B, sets_BLK).movedim(-1, 0)[..., None]
        targets_BMD = batch.target_sets_BLK[:, -newest:].to(items_BLD.dtype) @ self.sets.behaviors.weight
        implicit_BMD = self.implicit(views_KBLD, targets_BMD, self._attend_by(batch, mask_B1LL))
        return explicit_BMD, implicit_BMD
