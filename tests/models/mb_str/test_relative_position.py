import torch

from blade_tune.models.mb_str.relative_position import MAX_DISTANCE, NUM_BUCKETS, relative_buckets

HALF = NUM_BUCKETS // 2


def test_buckets_depend_on_the_distance_alone():
    """A shorter window has the buckets of any part of a longer one."""
    buckets_LL = relative_buckets(100)
    assert torch.equal(buckets_LL[:6, :6], relative_buckets(6))
    assert torch.equal(buckets_LL[-6:, -6:], relative_buckets(6))


def test_both_sides_have_a_half_and_grow_coarser():
    """Steps before and after have buckets of their own, which grow with the distance and end at the largest one."""
    before_L, after_L = relative_buckets(100)[-1].flip(0), relative_buckets(100)[0]
    assert before_L.unique().tolist() == list(range(HALF))
    assert after_L[1:].unique().tolist() == list(range(HALF + 1, NUM_BUCKETS))
    assert torch.equal(after_L[1:], before_L[1:] + HALF)
    assert (before_L.diff() >= 0).all()
    assert (before_L[MAX_DISTANCE:] == HALF - 1).all()
