import torch

from blade_tune.layers.behavior_types import BehaviorTypes

SETS = torch.tensor([[[1, 1, 0, 0], [1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 1]]], dtype=torch.uint8)


def test_the_rarest_behavior_stands_for_a_set():
    """Types count from 1 in column order; the empty set has behavior 0."""
    assert BehaviorTypes(torch.tensor([93, 67, 5, 4]), "rarest")(SETS).tolist() == [[2, 4, 0, 4]]
    assert BehaviorTypes(torch.tensor([4, 5, 67, 93]), "rarest")(SETS).tolist() == [[1, 1, 0, 2]]


def test_or_the_most_frequent_one():
    """With the other reduction each set has the behavior that comes most often."""
    assert BehaviorTypes(torch.tensor([93, 67, 5, 4]), "most_frequent")(SETS).tolist() == [
        [1, 1, 0, 2]
    ]


def test_of_equally_frequent_behaviors_the_later_is_rarer():
    """So that a behavior never depends on the order of rows."""
    assert BehaviorTypes(torch.tensor([7, 7, 7, 7]), "rarest")(SETS).tolist() == [[2, 4, 0, 4]]
    assert BehaviorTypes(torch.tensor([7, 7, 7, 7]), "most_frequent")(SETS).tolist() == [
        [1, 1, 0, 2]
    ]
