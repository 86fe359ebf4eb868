import torch

from blade_tune.kernels.gram import gram, plain_gram

ROWS = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_products_and_gradients_are_those_of_the_plain_form():
    """One product in the backward pass has the gradient of autograd's two."""
    rows_XD, weights_XX = (
        ROWS.clone().requires_grad_(),
        ROWS @ torch.ones(3, 5, dtype=torch.float64),
    )
    products = [form(rows_XD) for form in (gram, plain_gram)]
    assert torch.equal(*products)
    gradients = [
        torch.autograd.grad((product * weights_XX).sum(), rows_XD)[0] for product in products
    ]
    torch.testing.assert_close(*gradients, atol=1e-12, rtol=0)


def test_vmap_maps_it():
    """Under vmap each matrix has its own products."""
    many_PXD = torch.stack((ROWS, 2 * ROWS))
    assert torch.equal(torch.vmap(gram)(many_PXD), torch.stack((gram(ROWS), gram(2 * ROWS))))
