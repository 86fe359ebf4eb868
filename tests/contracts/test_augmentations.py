"""What every augmentation of behavior sets keeps, whatever it changes."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.augment import AUGMENTATIONS
from blade_tune.augment.behaviors import BehaviorStatistics, SetViews
from blade_tune.registry import load
from tests.builders import make_batch, make_catalog

CATALOG = make_catalog()
STATISTICS = {
    num_behaviors: BehaviorStatistics(
        replace(make_catalog(num_behaviors), auxiliary=auxiliary), 0.5
    )
    for num_behaviors, auxiliary in ((2, (0,)), (4, (0,)), (5, (1, 4)))
}


@pytest.fixture(params=AUGMENTATIONS, scope="module")
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def augment(name) -> Callable[..., torch.Tensor]:
    return load(AUGMENTATIONS, "augmentation", name)


@st.composite
def calls(draw):
    """Sets, empty and full ones too, the steps chosen, the statistics and a seed."""
    B, L, K = draw(st.integers(1, 3)), draw(st.integers(1, 6)), draw(st.sampled_from([2, 4, 5]))
    bits = draw(st.lists(st.integers(0, 1), min_size=B * L * K, max_size=B * L * K))
    chosen = draw(st.lists(st.booleans(), min_size=B * L, max_size=B * L))
    sets_BLK = torch.tensor(bits, dtype=torch.uint8).view(B, L, K)
    return sets_BLK, torch.tensor(chosen).view(B, L), STATISTICS[K], draw(st.integers(0, 2**32))


@given(calls())
def test_only_chosen_steps_change(augment, call):
    """A step that was not chosen keeps its set."""
    sets_BLK, chosen_BL, statistics, seed = call
    torch.manual_seed(seed)
    view_BLK = augment(sets_BLK, chosen_BL, statistics)
    assert torch.equal(view_BLK[~chosen_BL], sets_BLK[~chosen_BL])


@given(calls())
def test_a_view_is_made_of_sets(augment, call):
    """A view has the shape and the type of the original, and every entry is 0 or 1."""
    sets_BLK, chosen_BL, statistics, seed = call
    torch.manual_seed(seed)
    view_BLK = augment(sets_BLK, chosen_BL, statistics)
    assert (view_BLK.shape, view_BLK.dtype) == (sets_BLK.shape, sets_BLK.dtype)
    assert view_BLK.max() <= 1


@given(calls())
def test_the_original_is_left_alone(augment, call):
    """Neither the sets nor the choice of steps are written to."""
    sets_BLK, chosen_BL, statistics, _ = call
    before_BLK, chosen_before_BL = sets_BLK.clone(), chosen_BL.clone()
    view_BLK = augment(sets_BLK, chosen_BL, statistics)
    view_BLK.zero_()
    assert torch.equal(sets_BLK, before_BLK)
    assert torch.equal(chosen_BL, chosen_before_BL)


@given(calls())
def test_one_seed_one_view(augment, call):
    """The same seed gives the same view."""
    sets_BLK, chosen_BL, statistics, seed = call
    torch.manual_seed(seed)
    view_BLK = augment(sets_BLK, chosen_BL, statistics)
    torch.manual_seed(seed)
    assert torch.equal(augment(sets_BLK, chosen_BL, statistics), view_BLK)


def test_something_changes(augment):
    """Every augmentation changes some chosen set of one behavior."""
    sets_BLK = torch.eye(4, dtype=torch.uint8).repeat(1, 10, 1)
    torch.manual_seed(0)
    assert not torch.equal(
        augment(sets_BLK, torch.ones(1, 40, dtype=torch.bool), STATISTICS[4]), sets_BLK
    )


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=7), st.integers(0, 100), st.integers(0, 2**32)
)
def test_a_view_changes_at_most_rho_n_real_steps(name, lengths, hundredths, seed):
    """In a view of a batch, padding steps keep their empty sets and at most floor(rho n) real steps differ."""
    batch = make_batch(CATALOG, lengths)
    views = SetViews(name, hundredths / 100, 0.5, CATALOG)
    torch.manual_seed(seed)
    changed_BL = (views(batch) != batch.sets_BLK).any(-1)
    assert not changed_BL[~batch.real_BL].any()
    allowed = [hundredths * length // 100 for length in lengths]
    assert all(n <= most for n, most in zip(changed_BL.sum(1).tolist(), allowed, strict=True))
