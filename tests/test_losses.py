from math import exp, log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from blade_tune import losses
from blade_tune.losses import binary_cross_entropy, contrastive, richness
from tests.models.blade.twin_blade import contrastive_loss, sigmoid


def views(num_users: int, width: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(2, num_users, width, dtype=torch.float64, generator=random))


@given(st.floats(-20, 20), st.floats(-20, 20))
def test_binary_cross_entropy_equals_its_twin(positive, negative):
    """The loss of a step is -log sigmoid(s+) - log(1 - sigmoid(s-))."""
    loss = binary_cross_entropy(*torch.tensor([positive, negative], dtype=torch.float64))
    assert loss.item() == pytest.approx(-log(sigmoid(positive)) - log(sigmoid(-negative)), abs=1e-8)


def test_binary_cross_entropy_survives_extreme_scores():
    """Scores far beyond exp's range give a finite loss: the size of the mistake."""
    assert binary_cross_entropy(torch.tensor(-1e4), torch.tensor(1e4)).item() == 2e4
    assert binary_cross_entropy(torch.tensor(1e4), torch.tensor(-1e4)).item() == 0.0


@given(st.lists(st.integers(0, 1), min_size=1, max_size=6))
def test_richness_is_the_share_of_behaviors_present(target_set):
    """w = |b| / K, so a full set weighs 1."""
    weight = richness(torch.tensor([[target_set]], dtype=torch.uint8), torch.float64)
    assert weight.item() == pytest.approx(sum(target_set) / len(target_set))


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize(("num_users", "width"), [(1, 3), (2, 3), (7, 5)])
@pytest.mark.parametrize("tau", [0.1, 1.0, 4.0])
def test_contrastive_loss_equals_its_twin(similarity, num_users, width, tau):
    """InfoNCE over both views, row by row: the partner's share among all other rows, averaged over 2N rows."""
    first_ND, second_ND = views(num_users, width)
    twin = contrastive_loss(first_ND.tolist(), second_ND.tolist(), similarity, tau)
    assert contrastive(first_ND, second_ND, similarity, tau).item() == pytest.approx(
        twin, abs=1e-10
    )


def test_contrastive_loss_is_symmetric_in_its_views():
    """Which view comes first does not matter."""
    first_ND, second_ND = views(5, 3)
    swapped = contrastive(second_ND, first_ND, "dot", 0.5)
    torch.testing.assert_close(contrastive(first_ND, second_ND, "dot", 0.5), swapped)


def test_cosine_ignores_length_and_dot_does_not():
    """Doubling the vectors leaves the loss by cosine as it is and changes the one by dot product."""
    first_ND, second_ND = views(5, 3)
    cosine, dot = (contrastive(first_ND, second_ND, name, 0.5) for name in ("cosine", "dot"))
    torch.testing.assert_close(contrastive(2 * first_ND, 2 * second_ND, "cosine", 0.5), cosine)
    assert contrastive(2 * first_ND, 2 * second_ND, "dot", 0.5) != dot


def test_identical_orthogonal_views_reach_the_known_minimum():
    """With N orthonormal users and equal views, each row's loss is -log(e / (e + 2N - 2)) at tau = 1."""
    users_ND = torch.eye(4, dtype=torch.float64)
    expected = -log(exp(1) / (exp(1) + 6))
    assert contrastive(users_ND, users_ND, "cosine", 1.0).item() == pytest.approx(expected)


def test_contrastive_loss_is_never_in_half_precision():
    """Views in bfloat16 are compared in float32, whose range of spacing the loss needs."""
    first_ND, second_ND = (view_ND.bfloat16() for view_ND in views(5, 3))
    loss = contrastive(first_ND, second_ND, "dot", 0.5)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, contrastive(first_ND.float(), second_ND.float(), "dot", 0.5))


def test_a_zero_view_brings_no_nan():
    """A user whose view is all zeros gives finite losses and gradients under both similarities."""
    for similarity in ("dot", "cosine"):
        first_ND = torch.zeros(2, 3, requires_grad=True)
        loss = contrastive(first_ND, torch.ones(2, 3), similarity, 0.01)
        loss.backward()
        assert loss.isfinite()
        assert first_ND.grad.isfinite().all()


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_gradients_of_the_contrastive_loss_are_those_of_two_products(similarity):
    """The one product of the backward pass gives what differences of the loss give."""
    views_2ND = torch.stack(views(4, 3)).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda both_2ND: contrastive(*both_2ND, similarity, 0.5), (views_2ND,)
    )


@given(st.floats(-20, 20), st.lists(st.floats(-20, 20), min_size=1, max_size=5))
def test_sampled_softmax_equals_its_twin(positive, negatives):
    """The loss of a step is -log of the target's share of exp among target and sample."""
    loss = losses.sampled_softmax(
        torch.tensor([positive], dtype=torch.float64),
        torch.tensor([negatives], dtype=torch.float64),
    )
    assert loss.item() == pytest.approx(
        log(sum(map(exp, (positive, *negatives)))) - positive, abs=1e-8
    )


def test_sampled_softmax_leaves_out_the_target():
    """A sample that holds nothing but the target, at -inf, costs nothing."""
    loss = losses.sampled_softmax(torch.zeros(1), torch.full((1, 3), -torch.inf))
    assert loss.item() == 0.0
