"""Hypergraphs of the items of each sequence, and convolution over them (MBHT)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from blade_tune.layers.dropout import Dropout
from blade_tune.layers.identity import NearIdentity

LEAST_SIMILARITY = 0.01  # in place of any negative one


class ItemMetric(nn.Module):
    """Cosine similarity of items in a learned metric: the cosine of x * w, where w is a vector of weights.

    Args:
        size: D.
        over_time: divide each feature by its norm over all slots, instead of each slot by its norm over features.
    """

    def __init__(self, size: int, *, over_time: bool = False) -> None:
        super().__init__()
        self.weight_D = nn.Parameter(torch.ones(size))
        self.axis = 1 if over_time else 2

    def forward(self, items_BLD: Tensor) -> Tensor:
        """Compute the similarity of each slot to each, similarity_BLL."""
        weighed_BLD = items_BLD * self.weight_D
        normal_BLD = functional.normalize(weighed_BLD, dim=self.axis)
        return normal_BLD @ normal_BLD.mT


def propagation(
    similarity_BLL: Tensor, items_BL: Tensor, known_BL: Tensor, num_similar: int
) -> Tensor:
    """Compute how much each slot takes from each in a hypergraph convolution, G = Dv^-1 H De^-1 H^T.

    H is (slots, edges). Each distinct item has an edge. It holds the slots of the item with weight 1, and each slot
    that has the item among its `num_similar` most similar slots, itself included, with the similarity, or with 0.01
    where that is negative. Each item that stands in several slots has one more edge, of these slots. A slot whose item
    is hidden has an edge of its own and is in no other, but takes a place among the similar ones. Dv and De are the row
    and column sums of H.

    The edge of an item stands in the column of its first slot, so a sequence has as many edges as slots, some empty.

    Args:
        similarity_BLL: the similarity of the slots' items.
        items_BL: the items, 0 at padding.
        known_BL: True at real slots whose item is not hidden.
        num_similar: how many most similar slots each slot has.

    Returns:
        propagation_BLL, of which the row of a real slot sums to 1.
    """
    L = items_BL.shape[1]
    real_BL = items_BL > 0

    # Which slots have the same item, and which of them is the first (argmax returns the first of equals).
    slots_L = torch.arange(L, device=items_BL.device)
    both_known_BLL = known_BL[:, :, None] & known_BL[:, None, :]
    same_BLL = (items_BL[:, :, None] == items_BL[:, None, :]) & both_known_BLL
    same_BLL |= slots_L[:, None] == slots_L
    first_BL = same_BLL.to(torch.uint8).argmax(dim=2)
    is_first_BL = (first_BL == slots_L) & real_BL
    has_edge_B1L = is_first_BL[:, None, :]

    # Which edges a slot joins because their item is among its most similar ones.
    candidates_BLL = similarity_BLL.detach().masked_fill(~real_BL[:, None, :], -torch.inf)
    similar_BLX = candidates_BLL.topk(min(num_similar, L), dim=2, sorted=False).indices
    first_BLL = first_BL[:, None, :].expand(-1, L, -1)
    edges_BLX = first_BLL.gather(2, similar_BLX)
    chosen_BLL = torch.zeros_like(same_BLL).scatter_(2, edges_BLX, value=True)
    chosen_BLL = chosen_BLL & both_known_BLL

    # H, without the edges of repeated items: those have weights of 1, so their part of G has a form of its own.
    floored_BLL = similarity_BLL.masked_fill(similarity_BLL < 0, LEAST_SIMILARITY)
    weights_BLL = torch.where(chosen_BLL & has_edge_B1L, floored_BLL, 0.0)
    weights_BLL = weights_BLL.masked_fill(same_BLL & has_edge_B1L, 1.0)
    counts_BL1 = same_BLL.sum(dim=2, keepdim=True).to(weights_BLL.dtype)
    repeated_BL1 = counts_BL1 > 1

    # De and Dv. Sums of edges that exist and of real slots are 1 at least, so the floor changes only empty ones.
    edge_sums_B1L = weights_BLL.sum(dim=1, keepdim=True).clamp_min(1.0)
    slot_sums_BL1 = weights_BLL.sum(dim=2, keepdim=True) + repeated_BL1
    slot_sums_BL1 = slot_sums_BL1.clamp_min(1.0)

    # G = Dv^-1 H De^-1 H^T, as the sum of its two parts.
    through_similar_BLL = (weights_BLL / edge_sums_B1L) @ weights_BLL.mT
    through_repeated_BLL = (same_BLL & repeated_BL1) / counts_BL1
    return (through_similar_BLL + through_repeated_BLL) / slot_sums_BL1


class HypergraphConvolution(NearIdentity):
    """Two layers x -> drop(G (x W + b)), the second applied to the first; the output is the mean of both."""

    def __init__(self, size: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(size, size)
        self.second = nn.Linear(size, size)
        self.dropout = Dropout(dropout)

    def forward(self, states_BLD: Tensor, propagation_BLL: Tensor) -> Tensor:
        """Convolve states with `propagation_BLL`, the G of each sequence."""
        first_BLD = self.dropout(propagation_BLL @ self.first(states_BLD))
        second_BLD = self.dropout(propagation_BLL @ self.second(first_BLD))
        return (first_BLD + second_BLD) / 2

    def near_identity(self) -> None:
        """Start as the propagation alone."""
        nn.init.eye_(self.first.weight)
        nn.init.eye_(self.second.weight)


def fill_hidden(
    states_BLD: Tensor, known_BL: Tensor, hidden_BL: Tensor, before: int, after: int
) -> Tensor:
    """Replace the state of each hidden slot by the mean of known slots near it.

    Args:
        states_BLD: the states of all slots.
        known_BL: True at real slots that are not hidden.
        hidden_BL: True at real slots that are hidden.
        before: how many slots back a known slot may be.
        after: how many slots ahead a known slot may be.

    Returns:
        states_BLD; a hidden slot without a known one near it keeps its state.
    """
    # Find the known slots near each slot.
    slots_L = torch.arange(known_BL.shape[1], device=known_BL.device)
    offsets_LL = slots_L - slots_L[:, None]
    near_LL = (offsets_LL >= -before) & (offsets_LL <= after)
    near_BLL = near_LL & known_BL[:, None, :]

    # Take the mean of their states.
    counts_BL1 = near_BLL.sum(dim=2, keepdim=True)
    sums_BLD = near_BLL.to(states_BLD.dtype) @ states_BLD
    means_BLD = sums_BLD / counts_BL1.clamp_min(1)
    is_filled_BL1 = hidden_BL[..., None] & (counts_BL1 > 0)
    return torch.where(is_filled_BL1, means_BLD, states_BLD)


class SourceAttention(nn.Module):
    """Attention over sources, for each slot by itself: the softmax over sources of (x W) a weighs them."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.project = nn.Linear(size, size, bias=False)
        self.score = nn.Linear(size, 1, bias=False)

    def forward(self, *sources: Tensor) -> Tensor:
        """Sum sources of one shape, (B, L, D), by their weights."""
        sources_SBLD = torch.stack(sources)
        scores_SBL1 = self.score(self.project(sources_SBLD))
        weights_SBL1 = torch.softmax(scores_SBL1, dim=0)
        return (weights_SBL1 * sources_SBLD).sum(dim=0)
