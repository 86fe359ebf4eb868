from math import log2

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.errors import NonFiniteError
from blade_tune.metrics import CUTOFFS, METRICS, UNREACHABLE, ranks, summarize

ALLOWED_1V = torch.zeros(1, 5, dtype=torch.bool)


def rank_twin(scores: list[float], target: int, excluded: set[int]) -> int:
    """The target's place in a sorted list of what may be recommended."""
    candidates = [item for item in range(1, len(scores)) if item not in excluded]
    ranking = sorted(candidates, key=lambda item: (-scores[item], item))
    return ranking.index(target) if target in ranking else UNREACHABLE


def summary_twin(places: list[int]) -> dict[str, float]:
    """NDCG@k and HR@k, user by user."""
    summary = {}
    for k in CUTOFFS:
        gains = [1 / log2(place + 2) if place < k else 0.0 for place in places]
        hits = [1 if place < k else 0 for place in places]
        summary |= {f"ndcg@{k}": sum(gains) / len(places), f"hr@{k}": sum(hits) / len(places)}
    return summary


@st.composite
def rankings(draw):
    """Scores of a small catalog with many ties, and for each user a target and excluded items."""
    num_items = draw(st.integers(1, 30))
    user = st.tuples(
        st.lists(st.integers(-2, 2).map(float), min_size=num_items + 1, max_size=num_items + 1),
        st.integers(1, num_items),
        st.sets(st.integers(0, num_items)),
    )
    return draw(st.lists(user, min_size=1, max_size=6))


@given(rankings())
def test_ranks_and_metrics_equal_a_sorted_list(users):
    """Ranks are places in a list sorted by score, then item; what is not in the list is unreachable."""
    scores, targets, excluded = zip(*users, strict=True)
    excluded_BV = torch.tensor([[item in some for item in range(len(scores[0]))] for some in excluded])
    ranks_B = ranks(torch.tensor(scores), torch.tensor(targets), excluded_BV)
    places = [rank_twin(*user) for user in users]
    assert ranks_B.tolist() == places
    assert summarize(ranks_B) == pytest.approx(summary_twin(places), abs=1e-12)


def test_an_excluded_target_is_a_miss_even_in_a_tiny_catalog():
    """A target that must not be recommended is never hit, not even where fewer items than the cutoff exist."""
    excluded_1V = ALLOWED_1V.clone()
    excluded_1V[0, 2] = True
    ranks_1 = ranks(torch.tensor([[0.0, 1.0, 9.0, 2.0, 3.0]]), torch.tensor([2]), excluded_1V)
    assert set(summarize(ranks_1).values()) == {0.0}


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("item", [1, 4])
def test_a_score_that_is_not_finite_raises(bad, item):
    """A NaN or infinite score ranks nothing, whichever item has it."""
    scores_1V = torch.zeros(1, 5)
    scores_1V[0, item] = bad
    with pytest.raises(NonFiniteError):
        ranks(scores_1V, torch.tensor([1]), ALLOWED_1V)


def test_padding_is_never_ranked():
    """Column 0, however high its score, stands before no item."""
    assert ranks(torch.tensor([[9.0, 1.0, 0.0, 0.0, 0.0]]), torch.tensor([1]), ALLOWED_1V).tolist() == [0]


def test_equal_scores_rank_by_item_number():
    """A model that scores all items alike ranks item v at v - 1, so it gains nothing from ties."""
    targets_B = torch.arange(1, 5)
    assert ranks(torch.zeros(4, 5), targets_B, ALLOWED_1V.expand(4, -1)).tolist() == [0, 1, 2, 3]


def test_no_users_give_zero():
    """The metrics of nobody are 0, under every name of METRICS."""
    assert summarize(torch.empty(0, dtype=torch.int64)) == dict.fromkeys(METRICS, 0.0)
