from math import log2

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.metrics import CUTOFFS, METRICS, UNREACHABLE, summarize


def summary_twin(places: list[int]) -> dict[str, float]:
    """NDCG@k and HR@k, user by user."""
    summary = {}
    for k in CUTOFFS:
        gains = [1 / log2(place + 2) if place < k else 0.0 for place in places]
        hits = [1 if place < k else 0 for place in places]
        summary |= {f"ndcg@{k}": sum(gains) / len(places), f"hr@{k}": sum(hits) / len(places)}
    return summary


@given(st.lists(st.integers(0, 25) | st.just(UNREACHABLE), min_size=1, max_size=9))
def test_metrics_are_means_over_users(places):
    """A user whose item is in place r of the first k gives 1 / log2(r + 2) to NDCG@k and 1 to HR@k."""
    assert summarize(torch.tensor(places)) == pytest.approx(summary_twin(places), abs=1e-12)


def test_an_unreachable_item_is_a_miss():
    """It is beyond every cutoff."""
    assert set(summarize(torch.tensor([UNREACHABLE])).values()) == {0.0}


def test_no_users_give_zero():
    """The metrics of nobody are 0, under every name of METRICS."""
    assert summarize(torch.empty(0, dtype=torch.int64)) == dict.fromkeys(METRICS, 0.0)
