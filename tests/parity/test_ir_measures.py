import ir_measures
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import Success, nDCG

from blade_tune.metrics import CUTOFFS, METRICS, UNREACHABLE, gains, summarize
from tests.builders import ranks_of

NUM_ITEMS = 30
THEIRS = {
    f"{name}@{k}": measure @ k
    for name, measure in (("ndcg", nDCG), ("hr", Success))
    for k in CUTOFFS
}
RANKS = st.lists(st.integers(0, NUM_ITEMS - 1) | st.just(UNREACHABLE), min_size=1, max_size=9)


def judged(ranks_U: list[int]) -> tuple[dict, dict]:
    """One relevant item a user, and the ranking of all that puts it at its rank, or leaves it out."""
    relevant = {str(user): {f"item{rank}": 1} for user, rank in enumerate(ranks_U)}
    ranking = {f"item{place}": float(NUM_ITEMS - place) for place in range(NUM_ITEMS)}
    return relevant, {str(user): ranking for user in range(len(ranks_U))}


def test_every_metric_has_a_counterpart():
    """NDCG@k is their nDCG@k; HR@k, with one relevant item, is their Success@k."""
    assert set(THEIRS) == set(METRICS)


def test_metrics_of_random_rankings_equal_ir_measures():
    """From scores alone, of 300 users whose relevant item is any of 30, to 1e-12."""
    generator = torch.Generator().manual_seed(0)
    scores_UV = torch.rand((300, 1 + NUM_ITEMS), generator=generator, dtype=torch.float64)
    targets_U = torch.randint(1, 1 + NUM_ITEMS, (300,), generator=generator)
    relevant = {str(user): {str(int(target)): 1} for user, target in enumerate(targets_U)}
    rankings = {
        # Item 0 is padding
        str(user): {str(item): score for item, score in enumerate(scores_V) if item}
        for user, scores_V in enumerate(scores_UV.tolist())
    }
    theirs = ir_measures.calc_aggregate(THEIRS.values(), relevant, rankings)
    expected = {name: theirs[measure] for name, measure in THEIRS.items()}
    ours = summarize(ranks_of(scores_UV, targets_U, torch.zeros_like(scores_UV, dtype=torch.bool)))
    assert ours == pytest.approx(expected, rel=0, abs=1e-12)


@given(RANKS)
def test_metrics_of_any_ranks_equal_ir_measures(ranks_U):
    """Few users or all of them missed, to 1e-12."""
    theirs = ir_measures.calc_aggregate(THEIRS.values(), *judged(ranks_U))
    expected = {name: theirs[measure] for name, measure in THEIRS.items()}
    assert summarize(torch.tensor(ranks_U)) == pytest.approx(expected, rel=0, abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_gains_equal_ir_measures_of_single_users(metric):
    """At every rank of a ranking, and beyond it, to 1e-12."""
    ranks_U = [*range(NUM_ITEMS), UNREACHABLE]
    theirs = {
        int(found.query_id): found.value
        for found in ir_measures.iter_calc([THEIRS[metric]], *judged(ranks_U))
    }
    expected = [theirs[user] for user in range(len(ranks_U))]
    assert gains(torch.tensor(ranks_U), metric).tolist() == pytest.approx(
        expected, rel=0, abs=1e-12
    )
