"""Internal ids, found by look-up where raw ids are dense and by search where they are not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.data.numbering import Numbering
from tests.data.examples import plain, table


@pytest.mark.parametrize("scale", [1, 10**12])
@given(
    train=st.lists(st.integers(-9, 9), min_size=1),
    others=st.lists(st.integers(-12, 12), min_size=1),
)
def test_ids_are_numbered_in_their_order_however_far_apart(
    scale: int, train: list[int], others: list[int]
) -> None:
    """A raw id's number is its place among those of train, from 1; rows with an unknown one are dropped and counted."""
    numbering = Numbering.of(table([(scale * id_, scale * id_, (1, 0)) for id_ in train], 2))
    part, dropped = numbering.part(table([(scale * id_, scale * id_, (1, 0)) for id_ in others], 2))
    known = sorted(set(train))
    found = sorted(1 + known.index(id_) for id_ in others if id_ in known)
    assert plain(part) == [(number, number, (1, 0)) for number in found]
    assert (part.users_N.dtype, part.items_N.dtype) == (np.int32, np.int32)
    assert dropped == {"empty_set": 0, "unseen_user": len(others) - len(found), "unseen_item": 0}
