"""Clozes: sequences with hidden slots, for models that look at both sides of a slot to fill it (BERT4Rec).

A sequence is the newest interactions of a user and, in its last slot, the one to predict. It is a Batch too. Its items
are what a model sees, with `mask_item` where a slot is hidden. Its targets are the items of the hidden slots, and 0
elsewhere. Its sets are those of the slots themselves.
"""

from dataclasses import replace

import torch
from torch import Tensor

from blade_tune.batch import Batch


def hide(batch: Batch, length: int, mask_item: int, prob: float, *, last: bool) -> Batch:
    """Make a cloze to train on, with slots hidden at random.

    Args:
        batch: with negatives, of its own steps or shared.
        length: the most slots, the last one included.
        mask_item: what stands for a hidden item.
        prob: probability that a real slot is hidden, independently of others.
        last: whether the last slot is always hidden.

    Returns:
        The cloze; a negative of a slot is one of the step before it, of which the slot holds the target.
    """
    # Draw which slots are hidden.
    items_BL, sets_BLK = _slots(batch, batch.target_items_BL[:, -1:], length)
    hidden_BL = torch.rand(items_BL.shape, device=items_BL.device) < prob
    hidden_BL[:, -1] |= last
    hidden_BL &= items_BL > 0

    # Move negatives on by one step; the first slot of all has one of the step that it holds.
    negatives_BL = batch.negatives_BL
    if negatives_BL is not None:
        negatives_BL = torch.cat((negatives_BL[:, :1], negatives_BL), dim=1)[:, -length:]

    return Batch(
        users_B=batch.users_B,
        items_BL=torch.where(hidden_BL, mask_item, items_BL),
        sets_BLK=sets_BLK,
        target_items_BL=torch.where(hidden_BL, items_BL, 0),
        target_sets_BLK=sets_BLK,
        negatives_BL=negatives_BL,
        shared_negatives_X=batch.shared_negatives_X,
    )


def ask(batch: Batch, length: int, mask_item: int) -> Batch:
    """Make a cloze to rank with: the last slot alone is hidden, and its item unknown.

    Args:
        batch: whose last target sets are those of the item to predict.
        length: the most slots, the last one included.
        mask_item: what stands for a hidden item.
    """
    hidden_B1 = torch.full_like(batch.items_BL[:, -1:], mask_item)
    items_BL, sets_BLK = _slots(batch, hidden_B1, length)
    return replace(
        batch,
        items_BL=items_BL,
        sets_BLK=sets_BLK,
        target_items_BL=torch.zeros_like(items_BL),
        target_sets_BLK=sets_BLK,
    )


def _slots(batch: Batch, last_B1: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Return the items and the sets of the slots: the newest interactions, then the given item."""
    items_BX = torch.cat((batch.items_BL, last_B1), dim=1)
    sets_BXK = torch.cat((batch.sets_BLK, batch.target_sets_BLK[:, -1:]), dim=1)
    return items_BX[:, -length:], sets_BXK[:, -length:]
