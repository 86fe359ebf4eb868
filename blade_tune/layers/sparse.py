"""Sparse matrices that are part of a model: buffers for torch, CSR matrices for scipy."""

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn


class Sized(nn.Module):
    """A module whose buffers take the sizes of a loaded state: a fit decides on them, not the constructor."""

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        for name, buffer in self._buffers.items():
            stored = state_dict.get(prefix + name)
            if buffer is not None and stored is not None:
                self._buffers[name] = buffer.new_empty(stored.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class Sparse(Sized):
    """A sparse matrix in float32; empty until `keep` or a loaded state fills it.

    Args:
        num_rows: rows of the matrix.
        num_columns: columns of the matrix.
    """

    starts: Tensor  # int64, where each row starts in the other two, and the end
    columns: Tensor  # int32, of each entry
    values: Tensor  # float32, of each entry

    def __init__(self, num_rows: int, num_columns: int) -> None:
        super().__init__()
        self.shape = (num_rows, num_columns)
        self._matrix: Any = None
        self.register_buffer("starts", torch.zeros(num_rows + 1, dtype=torch.int64))
        self.register_buffer("columns", torch.empty(0, dtype=torch.int32))
        self.register_buffer("values", torch.empty(0))

    def keep(self, matrix: Any) -> None:
        """Take over the entries of a scipy matrix of the same shape."""
        matrix = csr_array(matrix)
        matrix.sort_indices()
        self.starts = torch.from_numpy(matrix.indptr.astype(np.int64))
        self.columns = torch.from_numpy(matrix.indices.astype(np.int32))
        self.values = torch.from_numpy(matrix.data.astype(np.float32))
        self._matrix = None

    @property
    def matrix(self) -> Any:
        """The scipy CSR matrix, on the CPU."""
        if self._matrix is None:
            values = self.values.cpu().numpy()
            columns = self.columns.cpu().numpy()
            starts = self.starts.cpu().numpy().astype(columns.dtype, copy=False)
            self._matrix = csr_array((values, columns, starts), shape=self.shape)
        return self._matrix

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        self._matrix = None
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._matrix = None
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self
