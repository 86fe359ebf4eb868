import pytest
import torch
from torch import Tensor

from blade_tune.models.mb_str.by_behavior import (
    BehaviorFeedForward,
    BehaviorLinear,
    PlacedByBehavior,
    SortedByBehavior,
)
from tests.builders import shaken
from tests.layers.twins import linear, relu

TYPES_BL = torch.tensor([[3, 1, 1], [0, 3, 1]])  # behavior 2 and, in a map, behavior 0 have nothing
FORMS = (SortedByBehavior, PlacedByBehavior)


def states(size: int = 4) -> Tensor:
    return torch.randn(
        *TYPES_BL.shape, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )


def of_type(part: BehaviorLinear, behavior: int) -> dict:
    """The map of a behavior as a Linear has it."""
    weights = {"weight": part.weight_KDF[behavior - 1].T.tolist()}
    return (
        weights if part.bias_KF is None else weights | {"bias": part.bias_KF[behavior - 1].tolist()}
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bias", [False, True])
def test_each_state_meets_the_map_of_its_type(form, bias):
    """Both forms give what a loop over the states gives, in the states' order; zero without a behavior."""
    part, types = shaken(BehaviorLinear(3, 4, 5, bias=bias)), form(TYPES_BL, 3)
    ours_BLF = types.leave(part(types.enter(states()), types))
    twin = [
        [
            linear(of_type(part, behavior), x) if behavior else [0.0] * 5
            for behavior, x in zip(row, xs, strict=True)
        ]
        for row, xs in zip(TYPES_BL.tolist(), states().tolist(), strict=True)
    ]
    torch.testing.assert_close(
        ours_BLF, torch.tensor(twin, dtype=torch.float64), atol=1e-12, rtol=0
    )


def test_both_forms_have_the_same_gradients():
    """Of states and of the maps of all types, also of those that no state has."""
    part = shaken(BehaviorFeedForward(3, 4, 6, dropout=0.0))
    results = []
    for form in FORMS:
        inputs_BLD = states().requires_grad_()
        loss = part(inputs_BLD, form(TYPES_BL, 3)).square().sum()
        results.append(torch.autograd.grad(loss, [inputs_BLD, *part.parameters()]))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=0)
    assert all(gradient.any() for gradient in results[0])


def test_feed_forward_is_two_maps_of_the_type():
    """relu(x W1_b + c1_b) W2_b + c2_b with b the behavior of the step."""
    part = shaken(BehaviorFeedForward(3, 4, 6, dropout=0.0))
    ours_BLD = part(states(), SortedByBehavior(TYPES_BL, 3))
    for row, step in [(0, 0), (0, 1), (1, 2)]:
        behavior = int(TYPES_BL[row, step])
        inner = relu(linear(of_type(part.expand, behavior), states()[row, step].tolist()))
        assert ours_BLD[row, step].tolist() == pytest.approx(
            linear(of_type(part.contract, behavior), inner), abs=1e-12
        )
