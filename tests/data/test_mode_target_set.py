"""The most frequent target set of a data set, which models are told under `target_set: mode`."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.data import table
from blade_tune.data.store import SearchData
from blade_tune.data.table import mode_target_set


@given(
    st.integers(1, 4).flatmap(
        lambda width: st.tuples(
            st.lists(st.lists(st.integers(0, 1), min_size=width, max_size=width)),
            st.sets(st.integers(0, width - 1), max_size=width - 1).map(sorted),
        )
    ),
    st.integers(1, 5),
)
def test_the_mode_is_counted_over_rows_with_a_target(rows_and_auxiliary, at_once):
    """No set with a target behavior is more frequent; rows with auxiliary behaviors alone do not count."""
    rows, auxiliary = rows_and_auxiliary
    width = len(rows[0]) if rows else max(auxiliary, default=0) + 2
    sets_NK = np.array(rows, np.uint8).reshape(-1, width)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "ROWS_AT_ONCE", at_once)
        found = tuple(mode_target_set(sets_NK, auxiliary).tolist())
    counts = Counter(
        tuple(row) for row in rows if any(bit for k, bit in enumerate(row) if k not in auxiliary)
    )
    if counts:
        assert counts[found] == max(counts.values())
    else:
        assert found == tuple(int(k not in auxiliary) for k in range(width))


def test_of_equally_frequent_sets_the_first_columns_win():
    """The order of rows changes nothing."""
    rows = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], np.uint8)
    assert mode_target_set(rows, [0]).tolist() == [0, 1, 0]
    assert mode_target_set(rows[::-1], [0]).tolist() == [0, 1, 0]


def test_the_mode_of_qk_video_is_like(qk: SearchData):
    """Its commonest set, {click}, has no target behavior; of the others it is {like}."""
    catalog = qk.catalog
    assert catalog.names_of(catalog.told_set("mode")) == ("like",)
    assert catalog.names_of(catalog.told_set("constant")) == ("like", "share", "follow")
    assert catalog.told_set("truth") is None
