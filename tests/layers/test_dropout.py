import pytest
import torch

from blade_tune.layers.dropout import Dropout, dropout

MANY = torch.ones(400_000)


@pytest.mark.parametrize("shape", [(1,), (3,), (5, 7), (0,), (2, 3, 5)])
def test_any_shape_is_drawn(shape):
    """Also one whose size is no multiple of four, and an empty one; dtype is kept."""
    for dtype in (torch.float32, torch.float64):
        states = torch.ones(shape, dtype=dtype)
        dropped = dropout(states, 0.5, training=True)
        assert (dropped.shape, dropped.dtype) == (shape, dtype)
        assert set(dropped.flatten().tolist()) <= {0.0, 2.0}


def test_the_mean_stays():
    """What is kept is scaled up by the share that stays, exactly."""
    torch.manual_seed(0)
    kept_values = dropout(MANY, 0.3, training=True).unique().tolist()
    assert kept_values == [0.0, pytest.approx(1 / (1 - round(0.3 * 65536) / 65536), rel=1e-6)]


def test_gradients_pass_where_entries_were_kept():
    """The gradient is the mask."""
    states = torch.ones(50, requires_grad=True)
    dropped = Dropout(0.5)(states)
    dropped.sum().backward()
    assert torch.equal(states.grad, dropped.detach())


def test_a_seed_decides_every_draw():
    """One seed gives one mask, another another."""
    masks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        masks.append(dropout(MANY, 0.5, training=True))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


@pytest.mark.parametrize(("rate", "training"), [(0.0, True), (0.5, False)])
def test_nothing_is_drawn_where_nothing_is_dropped(rate, training):
    """At rate 0 and in evaluation states pass as they are, and the generator stands still."""
    before = torch.get_rng_state()
    assert torch.equal(dropout(MANY, rate, training), MANY)
    assert torch.equal(torch.get_rng_state(), before)
