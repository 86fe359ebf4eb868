"""Negative sampling on the device: uniform draws among the items that a user never interacted with."""

import torch
from torch import Tensor

# Range of the random integers; so large that their remainders by a number of items are uniform enough
DRAWS = 2**62


class NegativeSampler:
    """A sampler of items from 1..V without those in each user's whole history (the "met" items).

    A draw is a random place k among the user's unmet items. The item in that place is k plus the number of met items
    before it, which are those with fewer than k unmet items before them. One binary search finds that number, and no
    draw is ever rejected.

    Args:
        keys_N: sorted unique keys user * (num_items + 1) + item of all interactions, on the device to draw on.
        unmet_before_N: for each key, the same key with the item replaced by the number of unmet items before it
            (see `data.table.unmet_before`).
        num_items: V, the number of items.
    """

    def __init__(self, keys_N: Tensor, unmet_before_N: Tensor, num_items: int) -> None:
        self.keys_N = keys_N
        self.unmet_before_N = unmet_before_N
        self.num_items = num_items

    def draw_shared(self, count: int) -> Tensor:
        """Return `count` items drawn uniformly from the whole catalog, as negatives that all steps of a batch share.

        Users may have met them.
        """
        return torch.randint(1, self.num_items + 1, (count,), device=self.keys_N.device)

    def draw(self, users_B: Tensor, length: int) -> Tensor:
        """Return negatives_BL: an unmet item for each step of each user.

        A user who has met every item gets any item.

        Args:
            users_B: numbers of the users, from 1.
            length: L, the number of steps.
        """
        # Count the items that each user has met; one who has met all of them counts as having met none.
        keys_B1 = users_B[:, None] * (self.num_items + 1)
        first_B1 = torch.searchsorted(self.keys_N, keys_B1)
        end_B1 = torch.searchsorted(self.keys_N, keys_B1 + self.num_items + 1)
        num_met_B1 = end_B1 - first_B1
        num_met_B1 = torch.where(num_met_B1 < self.num_items, num_met_B1, 0)

        # Draw places k among the unmet items, from 1.
        draws_BL = torch.randint(DRAWS, (len(users_B), length), device=users_B.device)
        places_BL = 1 + draws_BL % (self.num_items - num_met_B1)

        # Add the number of met items before each.
        after_BL = torch.searchsorted(self.unmet_before_N, keys_B1 + places_BL)
        num_before_BL = after_BL - first_B1
        return places_BL + torch.where(num_met_B1 > 0, num_before_BL, 0)
