"""Tables of embeddings that are large beside a batch."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional


class Table(nn.Embedding):
    """One row an id.

    The gradient of a lookup is as large as the table. So that a batch in pieces makes it once, and not once a piece,
    its rows can be looked up before (`take`) and used in place of the table (`at_hand`): ids are their places then.
    """

    _at_hand: tuple[Tensor, Tensor] | None = None  # ids_X and rows_XD

    def forward(self, ids: Tensor) -> Tensor:
        """Rows of the given ids, or places."""
        return super().forward(ids) if self._at_hand is None else functional.embedding(ids, self._at_hand[1])

    def ids(self, places: Tensor) -> Tensor:
        """The ids that stand at places; without rows at hand they are ids already."""
        return places if self._at_hand is None else self._at_hand[0][places]

    def take(self, ids: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """The different ids in their order with their rows, and the place of each given id among them."""
        ids_X, places = torch.unique(ids, return_inverse=True)
        return (ids_X, self(ids_X)), places

    @contextmanager
    def at_hand(self, taken: tuple[Tensor, Tensor]) -> Iterator[None]:
        """Have lookups be by places in what was taken."""
        self._at_hand = taken
        try:
            yield
        finally:
            self._at_hand = None


class UserTable(Table):
    """One row a user; row 0 stands for users who are in no train row."""

    def __init__(self, num_users: int, size: int) -> None:
        super().__init__(num_users + 1, size)

    @torch.no_grad()
    def settle_unknown(self) -> None:
        """Give unknown users the mean of all others; no training touches their row."""
        self.weight[0] = self.weight[1:].mean(dim=0)
