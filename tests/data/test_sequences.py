"""Windows of sequences."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.data.sequences import rows_with, windows
from blade_tune.data.table import Part, user_item_keys
from tests.data.examples import table, whole

NUM_USERS, NUM_ITEMS = 4, 9
ROW = st.tuples(
    st.integers(1, NUM_USERS), st.integers(1, NUM_ITEMS), st.sampled_from([(1, 0), (0, 1), (1, 1)])
)
PARTS = st.lists(st.lists(ROW, max_size=20), min_size=1, max_size=4).filter(any)


def part_of(rows) -> Part:
    rows = table(sorted(rows, key=lambda row: row[0]), 2)
    return Part(rows.users_N.astype(np.int32), rows.items_N.astype(np.int32), rows.sets_NK)


def padded(rows, length):
    """The last `length` (item, set) rows with padding on their left."""
    rows = [(0, (0, 0))] * (length - len(rows)) + rows[-length:]
    return [item for item, _ in rows], [list(behaviors) for _, behaviors in rows]


@given(PARTS, st.integers(1, 7))
def test_windows_are_their_slow_twin(parts, length) -> None:
    """Input is the user's sequence without its last row, target without its first, cut and padded on the left."""
    batch = whole(windows([part_of(rows) for rows in parts], NUM_USERS, length))
    assert batch.users_B.tolist() == list(range(1, NUM_USERS + 1))
    for user in batch.users_B.tolist():
        sequence = [
            (item, behaviors) for rows in parts for owner, item, behaviors in rows if owner == user
        ]
        items, sets = padded(sequence[:-1], length)
        target_items, target_sets = padded(sequence[1:], length)
        assert batch.items_BL[user - 1].tolist() == items
        assert batch.sets_BLK[user - 1].tolist() == sets
        assert batch.target_items_BL[user - 1].tolist() == target_items
        assert batch.target_sets_BLK[user - 1].tolist() == target_sets


@given(PARTS, st.integers(1, 7))
def test_real_steps_are_those_with_a_target(parts, length) -> None:
    """A step is real in inputs exactly where it is real in targets, and real steps have sets."""
    batch = whole(windows([part_of(rows) for rows in parts], NUM_USERS, length))
    assert torch.equal(batch.real_BL, batch.target_items_BL > 0)
    assert torch.equal(batch.real_BL, batch.sets_BLK.any(-1))
    assert torch.equal(batch.real_BL, batch.target_sets_BLK.any(-1))


def test_types_are_those_of_a_batch() -> None:
    """Ids are int64, sets uint8, all contiguous."""
    batch = whole(windows([part_of([(1, 2, (1, 0)), (1, 3, (0, 1))])], NUM_USERS, 3))
    assert {batch.users_B.dtype, batch.items_BL.dtype, batch.target_items_BL.dtype} == {torch.int64}
    assert {batch.sets_BLK.dtype, batch.target_sets_BLK.dtype} == {torch.uint8}
    assert all(tensor.is_contiguous() for tensor in vars(batch).values() if tensor is not None)


def test_rows_with_finds_those_to_evaluate() -> None:
    """The rows of users who have a row in the part, in user order."""
    assert rows_with(part_of([(4, 1, (1, 0)), (2, 5, (1, 0))])).tolist() == [1, 3]


def test_keys_are_sorted_and_unique() -> None:
    """One key per user and item met, in any part, ready for a binary search."""
    parts = [part_of([(2, 3, (1, 0)), (1, 9, (1, 0)), (2, 3, (0, 1))]), part_of([(1, 1, (1, 0))])]
    assert user_item_keys(parts, NUM_ITEMS).tolist() == [11, 19, 23]
