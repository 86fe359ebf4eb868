"""Distances between steps in a few classes, which are finer for near steps (T5's buckets)."""

import math

import torch
from torch import Tensor

NUM_BUCKETS = 32  # half of them for steps before, half for steps after
MAX_DISTANCE = 40  # from here on all distances are one


def relative_buckets(length: int) -> Tensor:
    """Classify the distance m - l from step l to step m.

    In each half, the first eight distances have a bucket each; the others share eight by their logarithm.

    Args:
        length: L.

    Returns:
        buckets_LL, by l (first axis) and m (second axis), in [0, NUM_BUCKETS).
    """
    half = NUM_BUCKETS // 2
    exact = NUM_BUCKETS // 4
    steps_L = torch.arange(length)
    offsets_LL = steps_L - steps_L[:, None]
    distances_LL = offsets_LL.abs()

    # The share of the way from the first distance without a bucket of its own to the farthest, by logarithms.
    ratios_LL = distances_LL.clamp_min(exact).double() / exact
    way_LL = ratios_LL.log() / math.log(MAX_DISTANCE / exact)
    shared_LL = exact + (way_LL * (half - exact)).long()
    shared_LL = shared_LL.clamp_max(half - 1)

    buckets_LL = torch.where(distances_LL < exact, distances_LL, shared_LL)
    return buckets_LL + half * (offsets_LL > 0)
