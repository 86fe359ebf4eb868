"""From behavior sets to one behavior type an interaction, for models that know no sets."""

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from blade_tune.choices import Reduction


class BehaviorTypes(nn.Module):
    """The behavior type that stands for a set: 1 + the column of its rarest behavior, or of its most frequent one.

    The type of the empty set is 0.

    "Only the most preferred behavior in each set based on global frequency" (BLADE, section 4.1) is read as the rarest:
    in EIDP's files columns stand in descending frequency, and what is left of its code takes the last one that is set.

    Args:
        behavior_counts_K: rows with each behavior; of two equally frequent the later column is taken for rarer.
        reduction: which behavior stands for a set.
    """

    preference_K: Tensor

    def __init__(self, behavior_counts_K: ArrayLike, reduction: Reduction) -> None:
        super().__init__()
        # Rank the behaviors from 1, the most frequent, to K, the rarest.
        counts_K = torch.as_tensor(behavior_counts_K)
        order_K = counts_K.argsort(descending=True, stable=True)
        rarity_K = order_K.argsort() + 1
        preference_K = rarity_K if reduction == "rarest" else len(rarity_K) + 1 - rarity_K
        self.register_buffer("preference_K", preference_K, persistent=False)

    def forward(self, sets_BLK: Tensor) -> Tensor:
        """Reduce each set to one behavior type.

        Returns:
            types_BL, int64, from 0 to K.
        """
        preference_BL, column_BL = (sets_BLK * self.preference_K).max(dim=-1)
        return torch.where(preference_BL > 0, column_BL + 1, 0)
