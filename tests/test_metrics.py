from math import log2

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.metrics import CUTOFFS, METRICS, UNREACHABLE, agree, by_cutoff, gains, summarize


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
    ours, twin = summarize(torch.tensor(places)), summary_twin(places)
    assert {name: ours[name] for name in twin} == pytest.approx(twin, abs=1e-12)


@pytest.mark.parametrize("kind", [torch.int32, torch.int64, torch.float32])
@pytest.mark.parametrize("num_users", [1, 33, 4_867])
def test_figures_are_those_that_earlier_versions_stored(num_users: int, kind: torch.dtype):
    """To the last bit: the gains of the hits alone are summed, in order of users."""
    ranks_B = torch.randint(
        0, 60, (num_users,), generator=torch.Generator().manual_seed(num_users)
    ).to(kind)
    gains_B, summary = 1.0 / torch.log2(ranks_B.double() + 2.0), summarize(ranks_B)
    for k in CUTOFFS:
        is_hit_B = ranks_B < k
        assert summary[f"ndcg@{k}"] == float(gains_B[is_hit_B].sum()) / num_users
        assert summary[f"hr@{k}"] == float(is_hit_B.sum()) / num_users
        assert torch.equal(gains(ranks_B, f"ndcg@{k}"), torch.where(is_hit_B, gains_B, 0.0))


@given(
    st.lists(st.integers(0, 25), min_size=1, max_size=9), st.sampled_from(METRICS), st.floats(-1, 1)
)
def test_figures_agree_with_the_ranks_that_gave_them(places, metric, change):
    """But for rounding; a metric that was not stored is no contradiction, nor is what is no metric."""
    ranks_B = torch.tensor(places)
    figure = summarize(ranks_B)[metric]
    assert agree(ranks_B, {metric: figure + 1e-7, "sealed_hash": "0a1b"})
    assert agree(ranks_B, {metric: figure + change}) == (abs(change) <= 1e-6)
    assert not agree(ranks_B, {metric: float("nan")})


def test_tables_have_one_order():
    """Cutoff by cutoff, each metric in order of declaration."""
    assert by_cutoff(5, 10)[:2] == ("ndcg@5", "hr@5")
    assert set(by_cutoff(*CUTOFFS)) == set(METRICS)


def test_an_unreachable_item_is_a_miss():
    """It is beyond every cutoff."""
    assert set(summarize(torch.tensor([UNREACHABLE])).values()) == {0.0}


def test_no_users_give_zero():
    """The metrics of nobody are 0, under every name of METRICS."""
    assert summarize(torch.empty(0, dtype=torch.int64)) == dict.fromkeys(METRICS, 0.0)
