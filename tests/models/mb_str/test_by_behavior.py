import pytest
import torch
from torch import Tensor

from blade_tune.models.mb_str.by_behavior import ByLabelPlaced, ByLabelSorted, LabelFeedForward, LabelLinear
from tests.builders import shaken
from tests.layers.twins import linear, relu

LABELS_BL = torch.tensor([[3, 1, 1], [0, 3, 1]])  # label 2 and, in a map, label 0 have nothing
FORMS = (ByLabelSorted, ByLabelPlaced)


def states(size: int = 4) -> Tensor:
    return torch.randn(*LABELS_BL.shape, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def of_label(part: LabelLinear, label: int) -> dict:
    """The map of a label as a Linear has it."""
    weights = {"weight": part.weight_KDF[label - 1].T.tolist()}
    return weights if part.bias_KF is None else weights | {"bias": part.bias_KF[label - 1].tolist()}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bias", [False, True])
def test_each_state_meets_the_map_of_its_label(form, bias):
    """Both forms give what a loop over the states gives, in the states' order; zero without a label."""
    part, labels = shaken(LabelLinear(3, 4, 5, bias=bias)), form(LABELS_BL, 3)
    ours_BLF = labels.leave(part(labels.enter(states()), labels))
    twin = [
        [linear(of_label(part, label), x) if label else [0.0] * 5 for label, x in zip(row, xs, strict=True)]
        for row, xs in zip(LABELS_BL.tolist(), states().tolist(), strict=True)
    ]
    torch.testing.assert_close(ours_BLF, torch.tensor(twin, dtype=torch.float64), atol=1e-12, rtol=0)


def test_both_forms_have_the_same_gradients():
    """Of states and of the maps of all labels, also of those that no state has."""
    part = shaken(LabelFeedForward(3, 4, 6, dropout=0.0))
    results = []
    for form in FORMS:
        inputs_BLD = states().requires_grad_()
        loss = part(inputs_BLD, form(LABELS_BL, 3)).square().sum()
        results.append(torch.autograd.grad(loss, [inputs_BLD, *part.parameters()]))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=0)
    assert all(gradient.any() for gradient in results[0])


def test_feed_forward_is_two_maps_of_the_label():
    """relu(x W1_b + c1_b) W2_b + c2_b with b the label of the step."""
    part = shaken(LabelFeedForward(3, 4, 6, dropout=0.0))
    ours_BLD = part(states(), ByLabelSorted(LABELS_BL, 3))
    for row, step in [(0, 0), (0, 1), (1, 2)]:
        label = int(LABELS_BL[row, step])
        inner = relu(linear(of_label(part.expand, label), states()[row, step].tolist()))
        assert ours_BLD[row, step].tolist() == pytest.approx(linear(of_label(part.contract, label), inner), abs=1e-12)
