"""From behavior sets to vectors, personal to each user."""

import torch
from torch import Tensor, nn

from blade_tune.choices import SetSoftmax
from blade_tune.layers.embedding import UserTable


class BehaviorSetEmbedding(nn.Module):
    """Embeds a set as softmax(f_u * b) G: each user u weighs the behaviors in a personal way (EIDP; BLADE, Eq. 1).

    Args:
        num_users: U.
        num_behaviors: K.
        size: D.
        set_softmax: "all" lets an absent behavior take part with exp(0) = 1, as in EIDP's code. With "present" it takes
            no part, and an empty set is the zero vector.
    """

    def __init__(
        self, num_users: int, num_behaviors: int, size: int, set_softmax: SetSoftmax
    ) -> None:
        super().__init__()
        self.set_softmax = set_softmax
        self.user_factors = UserTable(num_users, num_behaviors)
        self.behaviors = nn.Embedding(num_behaviors, size)

    def forward(self, users_B: Tensor, sets_BLK: Tensor) -> Tensor:
        """Embed the sets of each user's steps; returns sets_BLD."""
        return self.weights(users_B, sets_BLK) @ self.behaviors.weight

    def weights(self, users_B: Tensor, sets_BLK: Tensor) -> Tensor:
        """Weigh the behaviors of each set; returns weights_BLK."""
        factors_B1K = self.user_factors(users_B)[:, None]
        sets_BLK = sets_BLK.to(factors_B1K.dtype)
        logits_BLK = factors_B1K * sets_BLK
        if self.set_softmax == "all":
            return torch.softmax(logits_BLK, dim=-1)
        lowest = torch.finfo(logits_BLK.dtype).min
        weights_BLK = torch.softmax(logits_BLK.masked_fill(sets_BLK == 0, lowest), dim=-1)
        # An empty set, where the softmax is uniform, becomes zero.
        return weights_BLK * sets_BLK
