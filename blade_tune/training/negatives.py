"""Items that a user never met, drawn on the device."""

import torch
from torch import Tensor

DRAWS = 2**62  # so many that taking them modulo a number of items favors none noticeably


class NegativeSampler:
    """Uniform draws from 1..V minus the items of each user's whole history.

    A draw is a place among the user's unmet items: the item in the k-th place is k plus the number of met items before
    it, those with fewer than k unmet items before them. So one binary search finds it, and none is ever rejected.

    Args:
        keys_N: sorted unique keys user * (num_items + 1) + item of all that users met, where draws are made.
        unmet_before_N: of these keys.
        num_items: V.
    """

    def __init__(self, keys_N: Tensor, unmet_before_N: Tensor, num_items: int) -> None:
        self.keys_N = keys_N
        self.unmet_before_N = unmet_before_N
        self.num_items = num_items

    def draw_shared(self, count: int) -> Tensor:
        """Items drawn uniformly from all, for all steps of a batch; users may have met them."""
        return torch.randint(1, self.num_items + 1, (count,), device=self.keys_N.device)

    def draw(self, users_B: Tensor, length: int) -> Tensor:
        """One negative a step; a user who met every item gets any item."""
        keys_B1 = users_B[:, None] * (self.num_items + 1)
        first_B1 = torch.searchsorted(self.keys_N, keys_B1)
        met_B1 = torch.searchsorted(self.keys_N, keys_B1 + self.num_items + 1) - first_B1
        met_B1 = torch.where(met_B1 < self.num_items, met_B1, 0)
        places_BL = torch.randint(DRAWS, (len(users_B), length), device=users_B.device)
        places_BL = 1 + places_BL % (self.num_items - met_B1)
        before_BL = torch.searchsorted(self.unmet_before_N, keys_B1 + places_BL) - first_B1
        return places_BL + torch.where(met_B1 > 0, before_BL, 0)
