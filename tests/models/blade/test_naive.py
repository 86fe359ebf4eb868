"""The plain twin of benchmarks/naive.py and blade_released are one model."""

import pytest
import torch

from benchmarks.naive import PlainBladeReleased
from blade_tune.models.blade.released import BladeReleased
from tests.builders import make_batch, make_catalog, make_model

CATALOG = make_catalog()
BATCH = make_batch(CATALOG)
STILL = {"dropout": 0.0, "early_dropout": 0.0, "lambda_": 0.5}


@pytest.mark.parametrize(
    "settings", [{}, {"num_heads": 2, "num_experts": 3, "num_blocks": 1, "tau": 1.0, "alpha": 0.2}]
)
def test_losses_and_gradients_are_those_of_the_twin(settings):
    """Without dropout, both loss terms and every gradient are those of separate passes and a loop over the experts."""
    model = make_model("blade_released", CATALOG, **STILL, **settings).double()
    assert isinstance(model, BladeReleased)
    same = [BATCH.sets_BLK] * 3
    sample = (
        BATCH.users_B,
        BATCH.items_BL,
        *same,
        BATCH.target_items_BL,
        BATCH.target_sets_BLK,
        BATCH.negatives_BL,
    )
    ours, plain = tuple(model.losses(BATCH).values()), PlainBladeReleased(model).losses(sample)
    torch.testing.assert_close(ours, plain, atol=1e-10, rtol=0)
    parameters = list(model.parameters())
    for gradient, twin in zip(
        *(torch.autograd.grad(torch.stack(terms).sum(), parameters) for terms in (ours, plain)),
        strict=True,
    ):
        torch.testing.assert_close(gradient, twin, atol=1e-10, rtol=1e-8)
