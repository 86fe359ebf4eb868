"""MB-STR: multi-behavior sequential transformer (Yuan et al., SIGIR 2022), as yuanenming/mb-str computes it."""

from torch import Tensor, nn

from blade_tune.augment.cloze import ask, hide
from blade_tune.batch import Batch
from blade_tune.catalog import Catalog
from blade_tune.layers.behavior_types import BehaviorTypes
from blade_tune.layers.dropout import Dropout
from blade_tune.layers.initialization import initialize
from blade_tune.models.base import NeuralRecommender
from blade_tune.models.item_table import ItemTable
from blade_tune.models.mb_str.behavior_pairs import (
    BehaviorPairAttention,
    BehaviorPairs,
    behavior_pairs,
)
from blade_tune.models.mb_str.by_behavior import BehaviorFeedForward
from blade_tune.models.mb_str.gated_experts import GatedExperts
from blade_tune.models.mb_str.relative_position import relative_buckets
from blade_tune.models.micro_batches import in_micro_batches
from blade_tune.models.settings.mb_str import MbStrConfig


class MbStrBlock(nn.Module):
    """Attention by pairs of behavior types, then a feed-forward network of each type; post-norm, dropout at the end."""

    def __init__(self, config: MbStrConfig, num_behaviors: int) -> None:
        super().__init__()
        size = config.embedding_size
        self.attention = BehaviorPairAttention(
            size, config.num_heads, num_behaviors, config.dropout
        )
        self.attention_norm = nn.LayerNorm(size, config.layer_norm_eps)
        self.feed_forward = BehaviorFeedForward(
            num_behaviors, size, size * config.ffn_multiple, config.dropout
        )
        self.feed_forward_norm = nn.LayerNorm(size, config.layer_norm_eps)
        self.dropout = Dropout(config.dropout)

    def forward(self, states_BLD: Tensor, pairs: BehaviorPairs) -> Tensor:
        """Apply the block; `pairs` holds what it needs to know of the behavior types of all slots."""
        attended_BLD = self.attention(states_BLD, pairs)
        states_BLD = self.attention_norm(states_BLD + self.dropout(attended_BLD))
        forwarded_BLD = self.feed_forward(states_BLD, pairs.by_behavior)
        return self.dropout(self.feed_forward_norm(states_BLD + self.dropout(forwarded_BLD)))


class MbStr(NeuralRecommender):
    """A cloze model: items are hidden, their behaviors are not; both sides of a slot are read, without positions.

    The behavior type of a slot chooses its projections, its feed-forward network and its experts in the head; the types
    of two slots choose how one attends to the other.

    Deviates: training reads each user's newest window; the public code takes a random one in a fifth of the cases.
    Padding and slots without a behavior have no parameters; the public code has a map and a class of pairs for them.
    Padding is no item of the softmax either. Matrices of pairs, relative biases and gates start by N(0, 1), as in the
    public code, and everything else by N(0, 0.02), where that code leaves the head's experts to torch. Dropout acts on
    embeddings and on inner states of feed-forward networks too, as is usual in BERT's family.
    """

    Config = MbStrConfig
    config: MbStrConfig
    reads = "behavior_types"
    told_target_set = True
    is_causal = False
    buckets_LL: Tensor

    def __init__(self, config: MbStrConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        size, num_behaviors = config.embedding_size, catalog.num_behaviors
        self.behavior_types = BehaviorTypes(catalog.behavior_counts_K, config.reduction)
        self.items = ItemTable(catalog.num_items, size, has_mask=True)
        self.blocks = nn.ModuleList(
            MbStrBlock(config, num_behaviors) for _ in range(config.num_blocks)
        )
        self.head = GatedExperts(
            size, config.num_shared_experts, num_behaviors, config.layer_norm_eps
        )
        self.dropout = Dropout(config.dropout)
        self.register_buffer("buckets_LL", relative_buckets(config.max_length), persistent=False)
        initialize(self, "normal")

    def read(self, cloze: Batch) -> tuple[Tensor, Tensor]:
        """Compute the states of the slots of a cloze.

        Returns:
            states_BLD before the head, and types_BL.
        """
        types_BL = self.behavior_types(cloze.sets_BLK)
        states_BLD = self.dropout(self.items(cloze.items_BL))
        L = cloze.items_BL.shape[1]
        pairs = behavior_pairs(
            types_BL,
            cloze.real_BL,
            self.buckets_LL[:L, :L],
            self.catalog.num_behaviors,
            states_BLD.dtype,
        )
        for block in self.blocks:
            states_BLD = block(states_BLD, pairs)
        return states_BLD, types_BL

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute `next`, the weighted mean loss of the hidden items."""
        cloze = hide(
            batch, self.max_length, self.items.mask_item, self.config.mask_prob, last=False
        )

        def compute(part: Batch) -> Tensor:
            states_BLD, types_BL = self.read(part)
            hidden_BL = part.target_items_BL > 0
            states_ND = self.head(states_BLD[hidden_BL], types_BL[hidden_BL])
            weights_N = self.weights(part)[hidden_BL]
            return self.items.loss_at(states_ND, part, hidden_BL, weights_N, self.config.loss)

        losses = in_micro_batches(compute, cloze, self.items)
        weights_N = self.weights(cloze)[cloze.target_items_BL > 0]
        return {"next": self.mean(losses, weights_N)}

    def final_states(self, batch: Batch) -> Tensor:
        """Compute the state of one more slot, whose item is hidden and whose behaviors are those of the target set."""
        cloze = ask(batch, self.max_length, self.items.mask_item)
        states_BLD, types_BL = self.read(cloze)
        return self.head(states_BLD[:, -1], types_BL[:, -1])

    def item_vectors(self) -> Tensor:
        """Return the item table, from which inputs are looked up too."""
        return self.items.vectors_VD
