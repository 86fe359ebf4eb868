"""Ranking in blocks against a sorted list in plain Python."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from blade_tune.errors import NonFiniteError
from blade_tune.metrics import UNREACHABLE
from blade_tune.training import ranking
from blade_tune.training.ranking import Ranking
from tests.builders import ranks_of

NONE_11 = torch.zeros(1, 1, dtype=torch.int64)


@pytest.fixture(
    autouse=True, params=[(1, 16), (3, 16), (128, 4096)], ids=lambda sizes: f"{sizes[0]}x{sizes[1]}"
)
def block_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every law here holds however users and items are cut into blocks."""
    users, items = request.param
    monkeypatch.setattr(ranking, "USERS_AT_ONCE", users)
    monkeypatch.setattr(ranking, "ITEMS_AT_ONCE", items)
    monkeypatch.setattr(ranking, "MOST_ITEMS_AT_ONCE", items)


def rank_twin(scores: list[float], target: int, excluded: set[int]) -> int:
    """The target's place in a sorted list of what may be recommended."""
    candidates = [item for item in range(1, len(scores)) if item not in excluded]
    ranked = sorted(candidates, key=lambda item: (-scores[item], item))
    return ranked.index(target) if target in ranked else UNREACHABLE


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


@given(users=rankings())
def test_ranks_equal_a_sorted_list(users):
    """Ranks are places in a list sorted by score, then item; what is not in the list is unreachable."""
    scores, targets, excluded = zip(*users, strict=True)
    excluded_BV = torch.tensor(
        [[item in some for item in range(len(scores[0]))] for some in excluded]
    )
    assert ranks_of(torch.tensor(scores), torch.tensor(targets), excluded_BV).tolist() == [
        rank_twin(*u) for u in users
    ]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("where", ["state", "vector"])
def test_a_number_that_is_not_finite_raises(bad: float, where: str):
    """A NaN or infinity ranks nothing, whoever's state or vector holds it."""
    tensors = {"state": torch.ones(3, 2), "vector": torch.ones(6, 2)}
    tensors[where][-1, 1] = bad
    with pytest.raises(NonFiniteError):
        rank(tensors["state"], tensors["vector"])


def test_a_score_that_overflows_raises():
    """Finite states and vectors may have infinite scores, which rank nothing either."""
    with pytest.raises(NonFiniteError):
        rank(torch.full((2, 2), 1e20), torch.full((6, 2), -1e20))


def rank(states_BD: Tensor, vectors_VD: Tensor, target: int = 1) -> Tensor:
    """Ranks of one target for all users, nothing excluded."""
    targets_B = torch.full((len(states_BD),), target)
    return Ranking(targets_B, len(vectors_VD) - 1)(
        states_BD, vectors_VD, lambda rows_B: NONE_11.expand(len(rows_B), 1)
    )


def test_padding_is_never_ranked():
    """Column 0, however high its score, stands before no item."""
    assert rank(torch.ones(1, 1), torch.tensor([[9.0], [1.0], [0.0], [0.0]])).tolist() == [0]


def test_equal_vectors_have_equal_scores():
    """A model that gives all items one vector ranks item v at v - 1, so it gains nothing from rounding."""
    random = torch.Generator().manual_seed(0)
    states_BD, vector_D = torch.randn(7, 13, generator=random), torch.randn(13, generator=random)
    targets_B = torch.tensor([1, 2, 3, 7, 10, 10, 11])
    excluded = NONE_11.expand(7, 1)
    ranks_B = Ranking(targets_B, 11)(
        states_BD, vector_D.expand(12, 13), lambda rows_B: excluded[rows_B]
    )
    assert ranks_B.tolist() == [0, 1, 2, 6, 9, 9, 10]


def test_scores_are_float32():
    """States and vectors in float64 are ranked by their float32 scores, in which these two items are equal."""
    vectors_VD = torch.tensor([[0.0], [1.0], [1.0 + 1e-12]], dtype=torch.float64)
    assert rank(torch.ones(1, 1, dtype=torch.float64), vectors_VD).tolist() == [0]
