"""Embedding tables that are large compared with a batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class LocalRows(NamedTuple):
    """The rows of a table that one batch needs, each once."""

    ids_X: Tensor  # int64, in ascending order within what was asked for
    rows_XD: Tensor


class EmbeddingTable(nn.Embedding):
    """An embedding whose rows can be looked up once a batch instead of once a micro-batch.

    The gradient of a lookup is as large as the table. So the rows of a whole batch are looked up first (`gather_rows`)
    and stand in for the table while its micro-batches are computed (`use_local`). Meanwhile an id is a place among
    those local rows.
    """

    _local: LocalRows | None = None

    def forward(self, ids: Tensor) -> Tensor:
        """Look up rows.

        Args:
            ids: ids of rows, or places among local rows while those are in use; of any shape.

        Returns:
            The rows, with one axis more than `ids`.
        """
        if self._local is None:
            return super().forward(ids)
        return functional.embedding(ids, self._local.rows_XD)

    def ids(self, places: Tensor) -> Tensor:
        """Return the ids that stand at places among local rows; without local rows, places are ids already."""
        return places if self._local is None else self._local.ids_X[places]

    def gather_rows(self, ids: Tensor) -> tuple[LocalRows, Tensor]:
        """Look up each of the given ids once.

        Args:
            ids: with repeats, of any shape.

        Returns:
            The rows, and the place of each given id among them, in the shape of `ids`.
        """
        ids_X, places = torch.unique(ids, return_inverse=True)
        return LocalRows(ids_X, self(ids_X)), places

    @contextmanager
    def use_local(self, local: LocalRows) -> Iterator[None]:
        """Look up places among local rows instead of ids, until the context ends."""
        self._local = local
        try:
            yield
        finally:
            self._local = None


class UserTable(EmbeddingTable):
    """One row for each user; row 0 stands for users who are in no train row.

    Args:
        num_users: U.
        size: numbers in a row.
    """

    def __init__(self, num_users: int, size: int) -> None:
        super().__init__(num_users + 1, size)

    @torch.no_grad()
    def settle_unknown(self) -> None:
        """Set the row of unknown users, which no training touches, to the mean of all others."""
        self.weight[0] = self.weight[1:].mean(dim=0)
