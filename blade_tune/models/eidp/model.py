"""EIDP: explicit and implicit patterns of behavior sets (Chen et al., KDD 2024), as OshiNoCSMA/EIDP computes it."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from blade_tune.batch import Batch
from blade_tune.catalog import Catalog
from blade_tune.layers.attention import causal_mask
from blade_tune.layers.behavior_sets import BehaviorSetEmbedding
from blade_tune.layers.dropout import Dropout
from blade_tune.layers.embedding import UserTable
from blade_tune.layers.feed_forward import FeedForward
from blade_tune.layers.identity import NearIdentity, Positions, blur, gather
from blade_tune.layers.initialization import initialize
from blade_tune.models.base import NeuralRecommender
from blade_tune.models.eidp.prob_sparse import ProbSparseAttention
from blade_tune.models.item_table import ItemTable
from blade_tune.models.micro_batches import in_micro_batches
from blade_tune.models.settings.eidp import EidpConfig


class NormedFeedForward(nn.Module):
    """A feed-forward network with a residual and a norm, LN(x + drop(relu(drop(x W1 + b1)) W2 + b2))."""

    def __init__(self, size: int, dropout: float, eps: float) -> None:
        super().__init__()
        self.feed_forward = FeedForward(size, size, functional.relu, dropout)
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(size, eps)

    def forward(self, states_BLD: Tensor) -> Tensor:
        """Transform each step by itself."""
        return self.norm(states_BLD + self.dropout(self.feed_forward(states_BLD)))


class BehaviorEncoder(nn.Module):
    """Layers of attention over one behavior's view of a sequence; they share one feed-forward network and its norm."""

    def __init__(self, config: EidpConfig) -> None:
        super().__init__()
        size, eps = config.embedding_size, config.layer_norm_eps
        factor = None if config.prob_exact else config.sampling_factor
        self.attentions = nn.ModuleList(
            ProbSparseAttention(size, config.num_heads, config.dropout, eps, factor)
            for _ in range(config.num_blocks)
        )
        self.feed_forward = NormedFeedForward(size, config.dropout, eps)

    def forward(self, states_BLD: Tensor, real_BL: Tensor) -> Tensor:
        """Apply all layers to the states of a window, of which `real_BL` marks the interactions."""
        for attention in self.attentions:
            states_BLD = self.feed_forward(attention(states_BLD, real_BL))
        return states_BLD


class ExplicitAttention(NearIdentity):
    """Attention with additional explicit weights: (softmax(LN(s) Wq (s Wk)^T / sqrt(d) + mask) + explicit) s Wv."""

    def __init__(self, size: int, dropout: float, eps: float) -> None:
        super().__init__()
        self.query = nn.Linear(size, size)
        self.key = nn.Linear(size, size)
        self.value = nn.Linear(size, size)
        self.query_norm = nn.LayerNorm(size, eps)
        self.dropout = Dropout(dropout)

    def forward(self, source_BLD: Tensor, explicit_BML: Tensor, mask_BML: Tensor) -> Tensor:
        """Gather values for the newest M steps.

        Args:
            source_BLD: s, the states of all steps.
            explicit_BML: the explicit weights.
            mask_BML: added to scores before the softmax.

        Returns:
            gathered_BMD.
        """
        M, D = mask_BML.shape[1], source_BLD.shape[-1]
        newest_BMD = source_BLD[:, -M:]
        query_BMD = self.query(self.query_norm(newest_BMD)) * D**-0.5
        scores_BML = query_BMD @ self.key(source_BLD).mT + mask_BML
        weights_BML = torch.softmax(scores_BML, dim=-1) + explicit_BML
        return self.dropout(weights_BML) @ self.value(source_BLD)

    def near_identity(self) -> None:
        """Start by attending to all steps almost alike; the model sets what is gathered (see Eidp.begin_as_mean)."""
        blur(self.query, self.key)


class ViewAttention(NearIdentity):
    """Attention from the target set g to the views x of a step.

    LN((sum_k drop(softmax_k(x_k Wk . g Wq / sqrt(d))) x_k Wv) Wo + g), where k runs over behaviors.
    """

    def __init__(self, size: int, dropout: float, eps: float) -> None:
        super().__init__()
        self.query = nn.Linear(size, size)
        self.key = nn.Linear(size, size)
        self.value = nn.Linear(size, size)
        self.output = nn.Linear(size, size)
        self.norm = nn.LayerNorm(size, eps)
        self.dropout = Dropout(dropout)

    def forward(self, views_BLKD: Tensor, targets_BLD: Tensor) -> Tensor:
        """Join the views of each step.

        Args:
            views_BLKD: one state for each step and behavior.
            targets_BLD: g, the embedded target set of each step.

        Returns:
            states_BLD.
        """
        query_BLD1 = self.query(targets_BLD)[..., None] * targets_BLD.shape[-1] ** -0.5
        scores_BLK1 = self.key(views_BLKD) @ query_BLD1
        weights_BLK1 = self.dropout(torch.softmax(scores_BLK1, dim=2))
        gathered_BLD = (weights_BLK1 * self.value(views_BLKD)).sum(dim=2)
        return self.norm(self.output(gathered_BLD) + targets_BLD)

    def near_identity(self) -> None:
        """Start by gathering the mean of the views."""
        gather(self.value, self.output)
        blur(self.query, self.key)


class Eidp(NeuralRecommender):
    """The mean of an explicit and an implicit path.

    The explicit path is attention that also sees how far two behavior sets are apart. The implicit path encodes one
    view of the sequence for each behavior, and the target's set chooses among them.

    Deviates: every query of the encoders is computed, and attention is kept off padding. The public code draws the
    queries that it computes, in evaluation too, so that its scores cannot be repeated, and attends to padding;
    `prob_exact: false` does the same, and there a step may even learn of later ones, through padding between them.
    Padding is the zero vector and no item of the softmax; the public code leaves row 0 of its table as it was drawn.
    Distances between sets are a product of sets, and a user's weights of them are a row of one table.
    """

    Config = EidpConfig
    config: EidpConfig
    reads = "sets"
    told_target_set = True
    is_causal = True

    def __init__(self, config: EidpConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        size, eps = config.embedding_size, config.layer_norm_eps
        num_behaviors = catalog.num_behaviors
        self.items = ItemTable(catalog.num_items, size)
        self.positions = Positions(config.max_length, size)
        self.sets = BehaviorSetEmbedding(catalog.num_users, num_behaviors, size, "all")

        # The explicit path, with each user's weight of each distance.
        self.distances = UserTable(catalog.num_users, num_behaviors + 1)
        self.item_attention = ExplicitAttention(size, config.dcba_dropout, eps)
        self.position_attention = ExplicitAttention(size, config.dcba_dropout, eps)
        self.explicit_output = nn.Linear(size, size)
        self.explicit_norm = nn.LayerNorm(size, eps)
        self.explicit_feed_forward = NormedFeedForward(size, config.dcba_dropout, eps)

        # The implicit path.
        self.encoders = nn.ModuleList(BehaviorEncoder(config) for _ in range(num_behaviors))
        self.view_attention = ViewAttention(size, config.cba_dropout, eps)
        self.view_feed_forward = NormedFeedForward(size, config.cba_dropout, eps)
        self.dropout = Dropout(config.dropout)
        initialize(self, "xavier")
        # The weights of distances start by Xavier too, but each row by itself.
        nn.init.normal_(self.distances.weight, std=(2 / (num_behaviors + 2)) ** 0.5)

    def begin_as_mean(self) -> None:
        """Set weights so that a state is about the mean of the history; the explicit path gathers items alone."""
        super().begin_as_mean()
        gather(self.item_attention.value, self.explicit_output)
        nn.init.zeros_(self.position_attention.value.weight)

    def encode(self, batch: Batch) -> Tensor:
        """Compute the states of all steps.

        Returns:
            states_BLD.
        """
        batch = batch.newest(self.max_length)
        return self._encode_newest(batch, batch.items_BL.shape[1])

    def _encode_newest(self, batch: Batch, newest: int) -> Tensor:
        """Compute the states of the given number of newest steps."""
        if not self.config.prob_exact:  # the public code's states depend on padding
            batch = self._padded(batch)

        # Embed items and positions, of which the newest step has the last one, and weigh the behaviors.
        items_BLD = self.items(batch.items_BL) * self.config.embedding_size**0.5
        positions_LD = self.positions.weight[-items_BLD.shape[1] :]
        weights_BLK = self.sets.weights(batch.users_B, batch.sets_BLK)

        explicit_BMD = self.explicit(batch, items_BLD, positions_LD, weights_BLK, newest)
        implicit_BMD = self.implicit(batch, items_BLD + positions_LD, weights_BLK, newest)
        return (explicit_BMD + implicit_BMD) / 2

    def _padded(self, batch: Batch) -> Batch:
        """Return windows of max_length steps, padded on the left again."""
        missing = self.max_length - batch.items_BL.shape[1]
        return replace(
            batch,
            items_BL=functional.pad(batch.items_BL, (missing, 0)),
            sets_BLK=functional.pad(batch.sets_BLK, (0, 0, missing, 0)),
            target_sets_BLK=functional.pad(batch.target_sets_BLK, (0, 0, missing, 0)),
        )

    def explicit(
        self,
        batch: Batch,
        items_BLD: Tensor,
        positions_LD: Tensor,
        weights_BLK: Tensor,
        newest: int,
    ) -> Tensor:
        """Apply the explicit path: items and positions, each with its set, attend by scores and by distances of sets.

        Args:
            batch: the windows.
            items_BLD: scaled item embeddings.
            positions_LD: position embeddings.
            weights_BLK: the users' weights of the behaviors in each set.
            newest: M, how many of the newest steps to compute.

        Returns:
            explicit_BMD.
        """
        behaviors_BLD = weights_BLK @ self.sets.behaviors.weight
        states_BLD = self.dropout(items_BLD + positions_LD + behaviors_BLD)
        mask_BML = causal_mask(batch.real_BL, items_BLD.dtype)[:, 0, -newest:]

        # The explicit weights: the softmax over steps of the user's weights of their distances.
        distances_BN = hamming(batch.sets_BLK, newest).flatten(1)
        logits_BN = self.distances(batch.users_B).gather(1, distances_BN)
        logits_BML = logits_BN.view_as(mask_BML) * self.config.embedding_size**-0.5
        explicit_BML = torch.softmax(logits_BML + mask_BML, dim=-1)

        # Items and positions attend by these weights, each by scores of their own too.
        items_BLD = items_BLD + behaviors_BLD
        positions_BLD = positions_LD + behaviors_BLD
        from_items_BMD = self.item_attention(items_BLD, explicit_BML, mask_BML)
        from_positions_BMD = self.position_attention(positions_BLD, explicit_BML, mask_BML)
        gathered_BMD = self.explicit_output(from_items_BMD + from_positions_BMD)

        residual_BMD = (states_BLD + behaviors_BLD)[:, -newest:]
        return self.explicit_feed_forward(self.explicit_norm(gathered_BMD + residual_BMD))

    def implicit(self, batch: Batch, steps_BLD: Tensor, weights_BLK: Tensor, newest: int) -> Tensor:
        """Apply the implicit path: a behavior's encoder sees each step as strongly as the step has the behavior.

        Args:
            batch: the windows.
            steps_BLD: items plus positions.
            weights_BLK: the users' weights of the behaviors in each set.
            newest: M, how many of the newest steps to compute.

        Returns:
            implicit_BMD, in which the target set of each step has chosen among the encoders.
        """
        # Encode one view for each behavior; those that a step has are K times as strong.
        num_behaviors = weights_BLK.shape[-1]
        boost_BLK = torch.where(batch.sets_BLK > 0, float(num_behaviors), 1.0)
        strengths_BLK = weights_BLK * boost_BLK
        steps_BLD = self.dropout(steps_BLD)
        views = []
        for k, encoder in enumerate(self.encoders):
            view_BLD = steps_BLD * strengths_BLK[..., k : k + 1]
            encoded_BLD = encoder(view_BLD, batch.real_BL)
            views.append(encoded_BLD[:, -newest:])
        views_BMKD = torch.stack(views, dim=2)

        # The target's set chooses among them.
        target_sets_BMK = batch.target_sets_BLK[:, -newest:].to(steps_BLD.dtype)
        targets_BMD = target_sets_BMK @ self.sets.behaviors.weight
        return self.view_feed_forward(self.view_attention(views_BMKD, targets_BMD))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute `next`, the weighted mean loss of the next item over real steps."""
        batch = batch.newest(self.max_length)

        def compute(part: Batch) -> Tensor:
            states_BLD = self.encode(part)
            weights_BL = self.weights(part)
            return self.items.next_item_loss(states_BLD, part, weights_BL, self.config.loss)

        user_tables = (self.sets.user_factors, self.distances)
        losses = in_micro_batches(compute, batch, self.items, user_tables)
        return {"next": self.mean(losses, self.weights(batch))}

    def final_states(self, batch: Batch) -> Tensor:
        """Compute the state of the newest step."""
        return self._encode_newest(batch.newest(self.max_length), 1)[:, 0]

    def item_vectors(self) -> Tensor:
        """Return the item table, unscaled."""
        return self.items.vectors_VD


def hamming(sets_BLK: Tensor, newest: int) -> Tensor:
    """Count by how many behaviors the sets of the newest M steps differ from those of all steps.

    Args:
        sets_BLK: the behavior sets.
        newest: M.

    Returns:
        distances_BML, int64, from 0 to K.
    """
    sets_BLK = sets_BLK.float()
    sizes_BL = sets_BLK.sum(dim=-1)
    common_BML = sets_BLK[:, -newest:] @ sets_BLK.mT
    both_BML = sizes_BL[:, -newest:, None] + sizes_BL[:, None]
    return (both_BML - 2 * common_BML).long()
