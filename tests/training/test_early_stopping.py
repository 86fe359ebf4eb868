"""Early stopping by the study's own metric; EIDP's rule is in parity/."""

from hypothesis import given
from hypothesis import strategies as st

from blade_tune.training.early_stopping import EarlyStopping


@given(values=st.lists(st.integers(0, 6), min_size=1, max_size=30), patience=st.integers(1, 4))
def test_the_first_best_value_is_kept_until_patience_ends(values: list[int], patience: int):
    """The best epoch is the first of the highest value; training ends after `patience` evaluations without a higher."""
    stopping = EarlyStopping("hr@5", patience)
    seen: list[int] = []
    for epoch, value in enumerate(values, start=1):
        seen.append(value)
        is_best = stopping.update(epoch, {"hr@5": value / 10, "ndcg@10": -value})
        best_epoch = seen.index(max(seen)) + 1
        assert is_best == (best_epoch == epoch)
        assert (stopping.best_epoch, stopping.best["hr@5"]) == (best_epoch, max(seen) / 10)
        assert stopping.exhausted == (epoch - best_epoch >= patience)
        if stopping.exhausted:
            break


def test_a_first_value_of_zero_is_a_best_epoch():
    """A training that never hits still has a best epoch, its first evaluation."""
    stopping = EarlyStopping("ndcg@10", 2)
    assert stopping.update(5, {"ndcg@10": 0.0})
    assert not stopping.update(10, {"ndcg@10": 0.0})
    assert stopping.best_epoch == 5


def test_the_state_is_all_there_is():
    """Early stopping made from a state goes on as the one that gave it."""
    stopping = EarlyStopping("ndcg@10", 3, "eidp")
    for epoch in (1, 2):
        stopping.update(epoch, {"ndcg@10": 0.1 / epoch, "hr@10": 0.2})
    again = EarlyStopping(**stopping.state_dict())
    for each in (stopping, again):
        each.update(3, {"ndcg@10": 0.05, "hr@10": 0.1})
    assert again == stopping
