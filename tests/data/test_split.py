"""The split by time."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from blade_tune.data.split import split_by_time
from tests.data.examples import plain, table

CLICK, LIKE, BOTH = (1, 0), (0, 1), (1, 1)
ROWS = st.lists(
    st.tuples(
        st.integers(1, 4), st.integers(1, 9), st.sampled_from(list(product((0, 1), repeat=3)))
    ),
    min_size=1,
    max_size=40,
)


def reference(rows, auxiliary):
    """The slow twin: part name of each row, None where it is left out."""
    names = {}
    for user in {user for user, _, _ in rows}:
        own = [number for number, row in enumerate(rows) if row[0] == user]
        targets = [
            n
            for n in own
            if any(value for column, value in enumerate(rows[n][2]) if column not in auxiliary)
        ]
        if len(targets) < 2:
            names |= dict.fromkeys(own, "train")
            continue
        valid, test = targets[-2:]
        names |= {n: "train" for n in own if n < valid} | {valid: "valid", test: "test"}
        names |= {n: "between" for n in own if valid < n < test}
    return names


@given(ROWS, st.sampled_from([(), (0,), (1,), (0, 1), (0, 2), (1, 2)]))
def test_split_is_its_slow_twin(rows, auxiliary) -> None:
    """Each row goes where the recipe, followed user by user, puts it, and the order of rows is kept."""
    names = reference(rows, auxiliary)
    for name, part in split_by_time(table(rows, 3), auxiliary)._asdict().items():
        assert plain(part) == [row for number, row in enumerate(rows) if names.get(number) == name]


def test_one_user_by_hand() -> None:
    """The last two target interactions are held out, what lies between is kept apart, what comes after is dropped."""
    sets = [CLICK, LIKE, CLICK, BOTH, CLICK, CLICK, LIKE, CLICK]
    split = split_by_time(
        table([(5, item, behaviors) for item, behaviors in enumerate(sets, start=1)], 2), (0,)
    )
    assert [part.items_N.tolist() for part in split] == [[1, 2, 3], [4], [5, 6], [7]]


def test_a_user_with_one_target_is_not_held_out() -> None:
    """A user who lacks a second target interaction gives all rows to train, those after the target too."""
    split = split_by_time(table([(5, 1, CLICK), (5, 2, LIKE), (5, 3, CLICK)], 2), (0,))
    assert [len(part) for part in split] == [3, 0, 0, 0]
