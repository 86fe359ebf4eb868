"""Batches: what is done to rows, and that what all rows share stays as it is."""

from collections.abc import Callable

import pytest
import torch

from blade_tune.batch import Batch
from tests.builders import make_batch, make_catalog

CATALOG = make_catalog()
BATCH = make_batch(CATALOG)
BARE = Batch(
    BATCH.users_B, BATCH.items_BL, BATCH.sets_BLK, BATCH.target_items_BL, BATCH.target_sets_BLK
)
OF_ROWS = ("users_B", "items_BL", "sets_BLK", "target_items_BL", "target_sets_BLK", "negatives_BL")
MADE: dict[str, Callable[[Batch], list[Batch]]] = {
    "rows": lambda batch: [batch.rows(torch.tensor([3, 0]))],
    "newest": lambda batch: [batch.newest(2)],
    "split": lambda batch: list(batch.split(2)),
    "micro_batches": lambda batch: batch.micro_batches(7),
    "to": lambda batch: [batch.to(torch.device("cpu"))],
    "with_final_target_set": lambda batch: [
        batch.with_final_target_set(torch.ones(CATALOG.num_behaviors))
    ],
}


@pytest.mark.parametrize("make", MADE)
def test_shared_negatives_are_those_of_every_part(make: str):
    """Rows, pieces and shorter windows have all negatives that the batch shares; a batch without has none."""
    assert BATCH.shared_negatives_X is not None
    for part in MADE[make](BATCH):
        assert part.shared_negatives_X is not None
        assert torch.equal(part.shared_negatives_X, BATCH.shared_negatives_X)
    assert all(
        part.shared_negatives_X is None and part.negatives_BL is None for part in MADE[make](BARE)
    )


def test_another_device_has_the_shared_negatives_too():
    """`to` moves every tensor."""
    moved = BATCH.to(torch.device("meta"))
    assert all(tensor.device.type == "meta" for tensor in vars(moved).values())


def test_a_stacked_batch_has_no_negatives():
    """Views have nothing to do with the next item."""
    stacked = BATCH.stacked(BATCH.sets_BLK, BATCH.sets_BLK)
    assert len(stacked) == 2 * len(BATCH)
    assert stacked.negatives_BL is None
    assert stacked.shared_negatives_X is None


def test_each_kind_of_negatives_is_added_by_itself():
    """Neither replaces the other nor touches anything else."""
    own, shared = BATCH.negatives_BL, BATCH.shared_negatives_X
    assert own is not None
    assert shared is not None
    both = BARE.with_negatives(own).with_shared_negatives(shared)
    assert vars(both).keys() == vars(BATCH).keys()
    assert all(torch.equal(tensor, vars(BATCH)[name]) for name, tensor in vars(both).items())


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_micro_batches_are_the_rows_cut_to_their_length(size: int):
    """Each row is in one micro-batch, whole but for padding; one of several rows has at most so many steps."""
    micro_batches = BATCH.micro_batches(size)
    seen = [user for part in micro_batches for user in part.users_B.tolist()]
    assert sorted(seen) == sorted(BATCH.users_B.tolist())
    for part in micro_batches:
        assert len(part) == 1 or part.items_BL.numel() <= size
        for user, items_L in zip(part.users_B.tolist(), part.items_BL.tolist(), strict=True):
            [row] = (BATCH.users_B == user).nonzero()[:, 0].tolist()
            whole_L = BATCH.items_BL[row].tolist()
            assert whole_L == [0] * (len(whole_L) - len(items_L)) + items_L


@pytest.mark.parametrize("field", OF_ROWS)
def test_rows_are_the_rows(field: str):
    """Every tensor with an axis of users is indexed by it."""
    index_N = torch.tensor([4, 1])
    assert torch.equal(getattr(BATCH.rows(index_N), field), getattr(BATCH, field)[index_N])
