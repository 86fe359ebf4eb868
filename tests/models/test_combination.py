"""Combinations: the weighted sum of what members say, made comparable."""

import pytest
import torch

from blade_tune.models.build import build_model
from blade_tune.models.combination import Combination
from tests.models import twin_classical as twin
from tests.models.classical import (
    NAMES,
    TALL,
    assert_scores,
    batch_of,
    combined,
    fitted,
    settings_of,
    unfitted,
)


@pytest.mark.parametrize(
    "settings",
    [
        {"weight_2": 0.3, "weight_3": 2.0},
        {"normalization": "ranks", "rank_offset": 3.0, "weight_2": 0.0, "weight_3": 0.7},
    ],
    ids=str,
)
def test_a_combination_equals_its_twin(settings):
    """Scores are the weighted sum of standardized scores or of reciprocal ranks, each member seeing its own length."""
    torch.manual_seed(0)
    # It cannot read more than two steps
    trained = unfitted("sasrec", max_length=2, embedding_size=8).eval()
    members = [fitted("popularity", counts="all"), trained, fitted("ease")]
    model, batch = combined(members, **settings), batch_of(TALL)
    # Some scores are equal
    assert members[0].scores(batch)[0, 1:].unique().numel() < TALL.num_items
    of_members = [
        m.scores(part)[:, 1:].tolist()
        for m, part in zip(members, (batch, batch.newest(2), batch), strict=True)
    ]
    weights = [1.0, settings["weight_2"], settings["weight_3"]]
    expected = [
        twin.combination(list(each), weights, model.config.normalization, model.config.rank_offset)
        for each in zip(*of_members, strict=True)
    ]
    assert_scores(model, batch, expected)


def test_a_member_that_scores_all_items_alike_says_nothing():
    """Standardized scores without any spread are 0, so that a combination with them ranks as the other member."""
    members, batch = [fitted("ease"), unfitted("popularity")], batch_of(TALL)
    assert not members[1].scores(batch).any()
    assert torch.equal(
        combined(members).scores(batch), combined(members, weight_2=0.0).scores(batch)
    )


def test_the_state_of_a_combination_is_that_of_its_members():
    """A combination built by names and loaded, at once or member by member, has the scores of the one it came from."""
    members = [fitted(name) for name in NAMES[1:]]
    model, settings = combined(members, weight_3=0.5), {"max_length": 6, "weight_3": 0.5}
    places = [(name, settings_of(name)) for name in NAMES[1:]]
    whole, by_member = (
        build_model("combination", settings, TALL, "here", places) for _ in range(2)
    )
    assert isinstance(by_member, Combination)
    whole.load_state_dict(model.state_dict())
    by_member.load_members([member.state_dict() for member in members])
    for loaded in (whole, by_member):
        assert torch.equal(loaded.scores(batch_of(TALL)), model.scores(batch_of(TALL)))
