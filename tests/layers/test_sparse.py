"""Sparse matrices as parts of a model."""

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array, csc_array, csr_array
from torch import nn

from blade_tune.layers.sparse import Sparse

DENSE = np.array([[0, 1.5, 0, -2], [0, 0, 0, 0], [1 / 3, 0, 1e-30, 7]])  # a row without anything
OTHER = np.array([[1.0, 0, 0, 0], [2, 3, 0, 0], [0, 0, 0, 0]])


def kept(dense_XX: np.ndarray) -> Sparse:
    sparse = Sparse(*dense_XX.shape)
    sparse.keep(csr_array(dense_XX))
    return sparse


@pytest.mark.parametrize("form", [csr_array, csc_array, coo_array])
def test_a_matrix_is_kept_as_float32_has_it(form):
    """Whatever form a matrix has, each of its numbers is there in float32, and what is zero takes no place."""
    sparse = Sparse(3, 4)
    sparse.keep(form(DENSE))
    assert sparse.matrix.dtype == np.float32
    assert sparse.matrix.nnz == len(sparse.values) == np.count_nonzero(DENSE)
    np.testing.assert_array_equal(sparse.matrix.toarray(), DENSE.astype(np.float32))


def test_columns_stand_in_order():
    """Rows whose entries come in any order are kept in the order of columns."""
    sparse = Sparse(1, 4)
    sparse.keep(csr_array(([3.0, 1.0, 2.0], [3, 0, 2], [0, 3]), shape=(1, 4)))
    assert (sparse.columns.tolist(), sparse.values.tolist()) == ([0, 2, 3], [1, 2, 3])


def test_a_matrix_is_zero_until_it_is_filled():
    """Before anything is kept the matrix has its shape and no entry."""
    empty = Sparse(3, 4).matrix
    assert (empty.shape, empty.nnz) == ((3, 4), 0)
    assert not empty.toarray().any()


@pytest.mark.parametrize("before", [None, OTHER], ids=["empty", "filled"])
def test_a_state_is_the_matrix(before):
    """An empty one, or one that another matrix was read from, becomes the matrix whose state it loads."""
    loaded = nn.Sequential(Sparse(3, 4) if before is None else kept(before))
    assert np.array_equal(
        loaded[0].matrix.toarray(), np.zeros((3, 4)) if before is None else before
    )
    loaded.load_state_dict(nn.Sequential(kept(DENSE)).state_dict())
    np.testing.assert_array_equal(loaded[0].matrix.toarray(), DENSE.astype(np.float32))


def test_the_last_matrix_is_kept():
    """A second matrix takes the place of the first, of which nothing is left."""
    sparse = kept(OTHER)
    assert sparse.matrix.nnz == 3
    sparse.keep(csr_array(DENSE))
    np.testing.assert_array_equal(sparse.matrix.toarray(), DENSE.astype(np.float32))


def test_precision_changes_and_comes_back():
    """In float64 the matrix has the same numbers, and back in float32 it is what it was; places stay whole numbers."""
    sparse = kept(DENSE)
    before = sparse.matrix.toarray()
    for change, precision in ((nn.Module.double, np.float64), (nn.Module.float, np.float32)):
        change(sparse)
        assert sparse.matrix.dtype == precision
        np.testing.assert_array_equal(sparse.matrix.toarray(), before)
        assert not torch.is_floating_point(sparse.starts)
        assert not torch.is_floating_point(sparse.columns)
