"""Item-level augmentation (CL4SRec, ICDE 2022, section 3.2): crop, mask or reorder the items of a sequence.

Each operator takes left-padded items_BL, the share of a user's n real items that it works on, and the id of [MASK]. It
returns new items_BL, left-padded too. Rows are independent of each other.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from blade_tune.augment.behaviors import choose_steps, num_steps

ItemOperator = Callable[[Tensor, float, int], Tensor]


def crop(items_BL: Tensor, share: float, mask_item: int) -> Tensor:  # noqa: ARG001 - operators are called alike
    """Keep one contiguous run of floor(share * n) items, at least one, drawn uniformly.

    Deviates: the public code keeps none of a single item; an empty view says nothing of its user.
    """
    real_BL = items_BL > 0
    num_real_B1 = real_BL.sum(dim=1, keepdim=True)
    num_kept_B1 = num_steps(real_BL, share).clamp_min(1)
    num_kept_B1 = torch.minimum(num_kept_B1, num_real_B1)

    # Move the run to the end, over the items that are cut off behind it.
    L = items_BL.shape[1]
    steps_L = torch.arange(L, device=items_BL.device)
    num_behind_B1 = _draw(num_real_B1 - num_kept_B1)
    places_BL = (steps_L - num_behind_B1).clamp_min(0)
    moved_BL = items_BL.gather(1, places_BL)

    # Cut off the items before it.
    return torch.where(steps_L >= L - num_kept_B1, moved_BL, 0)


def mask(items_BL: Tensor, share: float, mask_item: int) -> Tensor:
    """Replace floor(share * n) items, chosen uniformly, by [MASK]."""
    masked_BL = choose_steps(items_BL > 0, share)
    return torch.where(masked_BL, mask_item, items_BL)


def reorder(items_BL: Tensor, share: float, mask_item: int) -> Tensor:  # noqa: ARG001 - operators are called alike
    """Shuffle one contiguous run of floor(share * n) items, drawn uniformly."""
    # Draw where the run begins.
    L = items_BL.shape[1]
    real_BL = items_BL > 0
    num_real_B1 = real_BL.sum(dim=1, keepdim=True)
    num_moved_B1 = num_steps(real_BL, share)
    first_B1 = L - num_real_B1 + _draw(num_real_B1 - num_moved_B1)

    # Sort by keys: a step's place, but for steps of the run, which come in random order where the run begins.
    steps_BL = torch.arange(L, device=items_BL.device).expand_as(items_BL)
    in_run_BL = (steps_BL >= first_B1) & (steps_BL < first_B1 + num_moved_B1)
    noise_BL = torch.rand(items_BL.shape, device=items_BL.device)
    keys_BL = torch.where(in_run_BL, first_B1 + noise_BL, steps_BL.float())
    return items_BL.gather(1, keys_BL.argsort(dim=1, stable=True))


OPERATORS: tuple[ItemOperator, ...] = (crop, mask, reorder)


def views(
    items_BL: Tensor, shares: tuple[float, float, float], mask_item: int
) -> tuple[Tensor, Tensor]:
    """Draw two views of each row, by two different operators that are drawn for each row.

    Args:
        items_BL: left-padded.
        shares: the shares that crop, mask and reorder work on.
        mask_item: the id of [MASK].

    Returns:
        The two views, both items_BL.
    """
    # Every operator makes a view of every row.
    augmented = []
    for operator, share in zip(OPERATORS, shares, strict=True):
        augmented.append(operator(items_BL, share, mask_item))
    augmented_3BL = torch.stack(augmented)

    # The first two of a random order are taken.
    B = len(items_BL)
    rows_B = torch.arange(B, device=items_BL.device)
    order_B3 = torch.rand(B, 3, device=items_BL.device).argsort(dim=1)
    first_BL = augmented_3BL[order_B3[:, 0], rows_B]
    second_BL = augmented_3BL[order_B3[:, 1], rows_B]
    return first_BL, second_BL


def _draw(most_B1: Tensor) -> Tensor:
    """Draw uniform integers from 0 to `most_B1`, both included."""
    share_B1 = torch.rand(most_B1.shape, device=most_B1.device, dtype=torch.float64)
    return (share_B1 * (most_B1 + 1)).long()
