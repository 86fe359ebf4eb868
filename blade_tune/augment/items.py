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
    L = items_BL.shape[1]
    num_real_B1 = (items_BL > 0).sum(dim=1, keepdim=True)
    num_kept_B1 = torch.minimum(num_steps(items_BL > 0, share).clamp_min(1), num_real_B1)
    cut_B1 = _draw(num_real_B1 - num_kept_B1)  # items after the run
    places_BL = torch.arange(L, device=items_BL.device) - cut_B1
    kept_BL = items_BL.gather(1, places_BL.clamp_min(0))
    return torch.where(torch.arange(L, device=items_BL.device) >= L - num_kept_B1, kept_BL, 0)


def mask(items_BL: Tensor, share: float, mask_item: int) -> Tensor:
    """Replace floor(share * n) items, chosen uniformly, by [MASK]."""
    return torch.where(choose_steps(items_BL > 0, share), mask_item, items_BL)


def reorder(items_BL: Tensor, share: float, mask_item: int) -> Tensor:  # noqa: ARG001 - operators are called alike
    """Shuffle one contiguous run of floor(share * n) items, drawn uniformly."""
    L = items_BL.shape[1]
    num_real_B1, num_moved_B1 = (
        (items_BL > 0).sum(dim=1, keepdim=True),
        num_steps(items_BL > 0, share),
    )
    first_B1 = L - num_real_B1 + _draw(num_real_B1 - num_moved_B1)
    steps_BL = torch.arange(L, device=items_BL.device).expand_as(items_BL)
    in_run_BL = (steps_BL >= first_B1) & (steps_BL < first_B1 + num_moved_B1)
    keys_BL = torch.where(
        in_run_BL, first_B1 + torch.rand(items_BL.shape, device=items_BL.device), steps_BL.float()
    )
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
    # Every operator makes a view of every row, and the first two of a random order are taken.
    augmented_3BL = torch.stack(
        [
            operator(items_BL, share, mask_item)
            for operator, share in zip(OPERATORS, shares, strict=True)
        ]
    )
    order_B3 = torch.rand(len(items_BL), 3, device=items_BL.device).argsort(dim=1)
    rows_B = torch.arange(len(items_BL), device=items_BL.device)
    return augmented_3BL[order_B3[:, 0], rows_B], augmented_3BL[order_B3[:, 1], rows_B]


def _draw(most_B1: Tensor) -> Tensor:
    """Draw uniform integers from 0 to `most_B1`, both included."""
    share_B1 = torch.rand(most_B1.shape, device=most_B1.device, dtype=torch.float64)
    return (share_B1 * (most_B1 + 1)).long()
