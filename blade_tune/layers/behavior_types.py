"""From behavior sets to single labels, for models that know no sets."""

from typing import Literal

import torch
from torch import Tensor, nn

Reduction = Literal["rarest", "most_frequent"]


class Labels(nn.Module):
    """The label of a set: 1 + the column of its rarest behavior (or its most frequent one); 0 of the empty set.

    "Only the most preferred behavior in each set based on global frequency" (BLADE, section 5.1) is read as the rarest:
    in EIDP's files columns stand in descending frequency, and what is left of its code takes the last one that is set.

    Args:
        behavior_counts_K: rows with each behavior; of two equally frequent the later column is taken for rarer.
        reduction: which behavior stands for a set.
    """

    preference_K: Tensor

    def __init__(self, behavior_counts_K: Tensor, reduction: Reduction) -> None:
        super().__init__()
        rarity_K = behavior_counts_K.argsort(descending=True, stable=True).argsort() + 1
        preference_K = rarity_K if reduction == "rarest" else len(rarity_K) + 1 - rarity_K
        self.register_buffer("preference_K", preference_K, persistent=False)

    def forward(self, sets_BLK: Tensor) -> Tensor:
        """labels_BL."""
        preference_BL, column_BL = (sets_BLK * self.preference_K).max(dim=-1)
        return torch.where(preference_BL > 0, column_BL + 1, 0)
