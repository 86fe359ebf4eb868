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

    _rows_XD: Tensor | None = None  # at hand

    def forward(self, ids: Tensor) -> Tensor:
        """Rows of the given ids, or places."""
        return super().forward(ids) if self._rows_XD is None else functional.embedding(ids, self._rows_XD)

    def take(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The different rows of the given ids, in order of id, and the place of each id among them."""
        numbers_X, places = torch.unique(ids, return_inverse=True)
        return self(numbers_X), places

    @contextmanager
    def at_hand(self, rows_XD: Tensor) -> Iterator[None]:
        """Have lookups be by places in these rows."""
        self._rows_XD = rows_XD
        try:
            yield
        finally:
            self._rows_XD = None
