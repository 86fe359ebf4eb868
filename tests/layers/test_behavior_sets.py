import torch
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.layers.behavior_sets import BehaviorSetEmbedding
from tests.builders import shaken
from tests.layers.twins import set_embedding, weights_of


@given(
    st.sampled_from(["all", "present"]),
    st.lists(st.floats(-900, 900), min_size=4, max_size=4),
    st.lists(st.lists(st.integers(0, 1), min_size=4, max_size=4), min_size=1, max_size=5),
)
def test_set_embedding_equals_its_twin(set_softmax, factors, sets):
    """softmax(f b) G of any set, for any factors, however large, is what the loop over behaviors gives."""
    embedding = shaken(BehaviorSetEmbedding(2, 4, 3, set_softmax))
    with torch.no_grad():
        embedding.user_factors.weight[1] = torch.tensor(factors, dtype=torch.float64)
    ours_1LD = embedding(torch.tensor([1]), torch.tensor([sets], dtype=torch.uint8))
    twin = [set_embedding(weights_of(embedding), 1, one, set_softmax) for one in sets]
    torch.testing.assert_close(
        ours_1LD[0], torch.tensor(twin, dtype=torch.float64), atol=1e-12, rtol=0
    )


def test_present_embeds_an_empty_set_as_zero_and_all_as_the_mean():
    """An empty set is the zero vector with `present`, and the mean behavior with `all`."""
    users_1, empty_11K = torch.tensor([1]), torch.zeros(1, 1, 4, dtype=torch.uint8)
    present = shaken(BehaviorSetEmbedding(2, 4, 3, "present"))
    every = shaken(BehaviorSetEmbedding(2, 4, 3, "all"))
    assert present(users_1, empty_11K).count_nonzero() == 0
    torch.testing.assert_close(every(users_1, empty_11K)[0, 0], every.behaviors.weight.mean(dim=0))


def test_present_gives_absent_behaviors_no_gradient():
    """With `present`, a behavior in no set learns nothing, and an empty set brings no NaN into any gradient."""
    embedding = shaken(BehaviorSetEmbedding(2, 4, 3, "present"))
    sets_12K = torch.tensor([[[1, 0, 1, 0], [0, 0, 0, 0]]])
    embedding(torch.tensor([1]), sets_12K).square().sum().backward()
    assert embedding.behaviors.weight.grad[[1, 3]].count_nonzero() == 0
    assert embedding.user_factors.weight.grad[:, [1, 3]].count_nonzero() == 0
    assert embedding.user_factors.weight.grad.isfinite().all()
    assert embedding.user_factors.weight.grad[1, 0] != 0
