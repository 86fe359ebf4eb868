"""Items that a user never met, drawn on the device."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

DRAWS = 2**62  # so many that taking them modulo a number of items favors none noticeably


class NegativeSampler:
    """Uniform draws from 1..V minus the items of each user's whole history.

    A draw is a place among the user's unmet items: the item in the k-th place is k plus the number of met items before
    it, those with fewer than k unmet items before them. So one binary search finds it, and none is ever rejected.

    Args:
        known_keys: sorted unique keys user * (num_items + 1) + item of all that users met.
        num_items: V.
        device: where draws are made.
    """

    def __init__(self, known_keys: NDArray[np.int64], num_items: int, device: torch.device) -> None:
        self.num_items = num_items
        keys_N = np.array(known_keys)
        users_N = keys_N // (num_items + 1)
        met_before_N = np.arange(len(keys_N)) - np.searchsorted(users_N, users_N)
        self.keys_N = torch.as_tensor(keys_N, device=device)
        self.unmet_before_N = torch.as_tensor(keys_N - 1 - met_before_N, device=device)  # as keys, sorted too

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
