"""Popularity: an order of items by their counts, and one for each told set."""

import pytest
import torch

from tests.models import twin_classical as twin
from tests.models.classical import TALL, assert_scores, batch_of, fitted
from tests.models.twin_classical import Step, draw_users, interactions


@pytest.mark.parametrize("counts", ["all", "target", "target_set"])
@pytest.mark.parametrize("told", [[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 1]], ids=str)
def test_popularity_equals_its_twin(counts, told):
    """Items stand in the order of their counts; a told set that no train row has leaves the order of target."""
    batch = batch_of(TALL).with_final_target_set(torch.tensor(told))
    expected = twin.popularity(draw_users(TALL), TALL, counts, told)
    assert_scores(fitted("popularity", counts=counts), batch, [expected] * len(batch))


def test_popularity_has_an_order_for_each_told_set():
    """Users of one batch who are told different sets get the orders of their own."""
    told = [[1, 1, 1, 1], [1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    batch = batch_of(TALL)
    batch.target_sets_BLK[:, -1] = torch.tensor(told)
    expected = [twin.popularity(draw_users(TALL), TALL, "target_set", bits) for bits in told]
    assert len({tuple(scores) for scores in expected}) == 4  # no row has the first or the last set
    assert_scores(fitted("popularity", counts="target_set"), batch, expected)


def test_one_row_of_the_told_set_outweighs_all_others():
    """An item that one row has with the told set stands before one with more target rows than any other."""
    rows = interactions([[Step(1, [1, 0, 0, 0]), *[Step(2, [0, 0, 1, 0])] * 5]])
    batch = batch_of(TALL).with_final_target_set(torch.tensor([1, 0, 0, 0]))
    assert fitted("popularity", rows=rows, counts="target_set").scores(batch)[0, :4].tolist() == [
        0,
        2,
        1,
        0,
    ]
