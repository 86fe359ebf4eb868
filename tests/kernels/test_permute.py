import torch
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.kernels.permute import permute, plain_permute


@given(st.permutations(range(6)))
def test_rows_and_gradients_are_those_of_the_plain_form(order):
    """In any order, rows and their gradients are those of indexing, to the bit."""
    order_N = torch.tensor(order)
    rows_ND = torch.arange(12.0).view(6, 2).requires_grad_()
    permuted = permute(rows_ND, order_N, order_N.argsort()), plain_permute(rows_ND, order_N)
    assert torch.equal(*permuted)
    grad_ND = torch.randn(6, 2)
    assert torch.equal(*(torch.autograd.grad(rows, rows_ND, grad_ND)[0] for rows in permuted))
