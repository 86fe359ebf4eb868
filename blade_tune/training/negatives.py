"""Items that a user never met, drawn on the device."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ROUNDS = 4  # on QK-Video at most (215 / 20,494)^5 of the draws still collide after four redraws


class NegativeSampler:
    """Uniform draws from 1..V minus the items of each user's whole history.

    Args:
        known_keys: sorted keys user * (num_items + 1) + item of all that users met.
        num_items: V.
        device: where draws are made.
    """

    def __init__(self, known_keys: NDArray[np.int64], num_items: int, device: torch.device) -> None:
        self.keys_N = torch.as_tensor(np.array(known_keys), device=device)
        self.num_items = num_items

    def draw(self, users_B: Tensor, length: int) -> Tensor:
        """One negative a step; a user who met every item gets any item."""
        items_BL = self._uniform((len(users_B), length), users_B.device)
        for _ in range(ROUNDS):
            met_BL = self._met(users_B[:, None], items_BL)
            items_BL = torch.where(met_BL, self._uniform(items_BL.shape, items_BL.device), items_BL)
        return items_BL

    def _uniform(self, shape: tuple[int, ...], device: torch.device) -> Tensor:
        return torch.randint(1, self.num_items + 1, shape, device=device)

    def _met(self, users_B1: Tensor, items_BL: Tensor) -> Tensor:
        keys_BL = users_B1 * (self.num_items + 1) + items_BL
        place_BL = torch.searchsorted(self.keys_N, keys_BL).clamp_max(len(self.keys_N) - 1)
        return self.keys_N[place_BL] == keys_BL
