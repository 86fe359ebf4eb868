"""The table of item embeddings, and the losses of the next item by it."""

import torch
from torch import Tensor

from blade_tune.batch import Batch
from blade_tune.choices import NextItemLoss
from blade_tune.kernels.softmax_loss import softmax_loss
from blade_tune.layers.embedding import EmbeddingTable, LocalRows
from blade_tune.losses import binary_cross_entropy, sampled_softmax


class ItemTable(EmbeddingTable):
    """Item embeddings, of which row 0, padding, is zero and stays zero.

    Args:
        num_items: V.
        size: D.
        has_mask: whether one more row stands for a hidden item, [MASK].
    """

    def __init__(self, num_items: int, size: int, *, has_mask: bool = False) -> None:
        super().__init__(num_items + 1 + has_mask, size, padding_idx=0)
        self.num_items = num_items
        self.has_mask = has_mask

    @property
    def vectors_VD(self) -> Tensor:
        """The rows of padding and of all items, without [MASK]."""
        return self.weight[: self.num_items + 1]

    @property
    def mask_item(self) -> int:
        """The id of [MASK], or its place among local rows while those are in use."""
        num_rows = self.num_embeddings if self._local is None else len(self._local.ids_X)
        return num_rows - 1

    def gather_rows(self, ids: Tensor) -> tuple[LocalRows, Tensor]:
        """Look up each of the given ids once; padding stays at place 0, and [MASK], if there is one, comes last."""
        always = [0, self.num_embeddings - 1] if self.has_mask else [0]
        wanted_N = torch.cat((ids.new_tensor(always), ids.flatten()))
        local, places_N = super().gather_rows(wanted_N)
        return local, places_N[len(always) :].view_as(ids)

    @torch.no_grad()
    def start_as(self, vectors_VD: Tensor, std: float) -> None:
        """Set the rows of padding and of all items.

        Args:
            vectors_VD: the rows, before they are scaled.
            std: the standard deviation that the numbers of all items together are scaled to.
        """
        spread = vectors_VD[1:].std()
        scale = std / spread if spread > 0 else 0.0
        self.vectors_VD.copy_(vectors_VD * scale)
        self.weight[0] = 0.0

    def next_item_loss(
        self, states_BLD: Tensor, batch: Batch, weights_BL: Tensor, loss: NextItemLoss
    ) -> Tensor:
        """Compute the loss of the target of every step.

        Args:
            states_BLD: the state that each step's target is scored with.
            batch: with the negatives that the loss compares with.
            weights_BL: the weight of each step in the sum, 0 at padding.
            loss: which loss.

        Returns:
            The weighted sum over all steps, a scalar.
        """
        if loss == "bce":
            scores_BL = self._dot(states_BLD, batch.target_items_BL)
            negative_scores_BL = self._dot(states_BLD, _negatives(batch))
            losses_BL = binary_cross_entropy(scores_BL, negative_scores_BL)
            return (losses_BL * weights_BL).sum()
        counts_BL = weights_BL > 0
        return self.loss_at(states_BLD[counts_BL], batch, counts_BL, weights_BL[counts_BL], loss)

    def loss_at(
        self,
        states_ND: Tensor,
        batch: Batch,
        chosen_BL: Tensor,
        weights_N: Tensor,
        loss: NextItemLoss,
    ) -> Tensor:
        """Compute the loss of the targets of chosen steps alone.

        Args:
            states_ND: the states of the chosen steps, row after row of the batch.
            batch: with the negatives that the loss compares with.
            chosen_BL: True at the N chosen steps.
            weights_N: their weights in the sum.
            loss: which loss.

        Returns:
            The weighted sum over the chosen steps, a scalar.
        """
        targets_N = batch.target_items_BL[chosen_BL]
        if loss == "ce":
            # All items take part, so they are numbered by the whole table, without padding.
            places_N = self.ids(targets_N) - 1
            return softmax_loss(states_ND, self.vectors_VD[1:], places_N, weights_N)
        scores_N = self._dot(states_ND, targets_N)
        if loss == "bce":
            negative_scores_N = self._dot(states_ND, _negatives(batch)[chosen_BL])
            losses_N = binary_cross_entropy(scores_N, negative_scores_N)
        else:
            # A shared negative that is a step's own target is none of its negatives.
            negatives_X = _shared_negatives(batch)
            scores_NX = states_ND @ self(negatives_X).T
            is_target_NX = targets_N[:, None] == negatives_X
            losses_N = sampled_softmax(scores_N, scores_NX.masked_fill(is_target_NX, -torch.inf))
        return (losses_N * weights_N).sum()

    def _dot(self, states_XD: Tensor, items_X: Tensor) -> Tensor:
        return torch.einsum("...d,...d->...", states_XD, self(items_X))


def _negatives(batch: Batch) -> Tensor:
    assert batch.negatives_BL is not None, "a training batch has negatives"  # noqa: S101 - for the type checker
    return batch.negatives_BL


def _shared_negatives(batch: Batch) -> Tensor:
    assert batch.shared_negatives_X is not None, "its loss shares negatives"  # noqa: S101 - for the type checker
    return batch.shared_negatives_X
