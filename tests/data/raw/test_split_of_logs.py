"""A prepared log is what plain loops make of its rows, in any form."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blade_tune.data.raw.datasets import KNOWN_LOGS
from blade_tune.data.raw.settings import LogFormat, Recipe
from blade_tune.errors import DataError
from tests.data.raw.logs import EVENTS, FLAGS, SUFFIXES, prepared, read_prepared, write_log
from tests.data.raw.slow_twin import Expected, Row, expected_split

MISSING = ("", "\\N", "NA", "N/A", "NULL", "null", "None", "-")
ABSENT = dict.fromkeys(("0", "0.0", "False", "false", *MISSING), False)
PRESENT = {"1": True, "1.0": True, "True": True, "true": True}

recipes = st.builds(
    Recipe,
    min_item_targets=st.integers(0, 3),
    min_user_targets=st.integers(0, 4),
    until_stable=st.booleans(),
    sample_users=st.none() | st.integers(1, 4),
    seed=st.integers(0, 3),
)


def compare(facts: dict[str, Any], folder: Path, form: LogFormat, expected: Expected) -> None:
    """Parts, the order of rows in them, ids and counts are the expected ones."""
    found = read_prepared(folder, form.behaviors)
    as_text = {
        part: [(str(u), str(i), s) for u, i, s in rows] for part, rows in expected.parts.items()
    }
    assert found == as_text
    assert facts["parts"] == {part: len(rows) for part, rows in expected.parts.items()}
    reasons = {
        ("empty" if name in ("no_behavior", "other_event") else name): n
        for name, n in facts["left_out"].items()
    }
    assert {name: count for name, count in reasons.items() if count} == {
        k: n for k, n in expected.left_out.items() if n
    }
    assert facts["rows"] == sum(reasons.values()) + sum(facts["parts"].values())


def check(
    rows: list[dict[str, str]],
    read: list[Row],
    form: LogFormat,
    recipe: Recipe,
    suffix: str = ".csv",
    auxiliary: str | tuple[str, ...] | None = None,
) -> None:
    """Write rows, prepare them, and compare; where nothing is left, the error says so and nothing is written."""
    expected = expected_split(
        read,
        auxiliary or form.behaviors[0],
        recipe,
        merges=form.merges and form.time is not None,
        keep_repeats=form.keep_repeats,
    )
    with TemporaryDirectory() as folder:
        source, out = write_log(Path(folder) / f"log{suffix}", rows), Path(folder) / "out"
        if not expected.parts["train"] or not expected.parts["valid"]:
            with pytest.raises(DataError, match=r"none is left of \d+ rows|some row must have"):
                prepared(source, out, form, recipe, auxiliary)
            assert not out.exists()
            return
        if any(all(name not in row[3] for row in read) for name in form.behaviors):
            return  # a behavior that no row has is another error
        compare(prepared(source, out, form, recipe, auxiliary), out, form, expected)


def test_floors_count_test_rows(tmp_path: Path) -> None:
    """An item stays by a target row that becomes test: EIDP's recipe is not blind to test rows."""
    orders = {"u": "xabcd", "v": "xbcda", "w": "acdbx"}  # the last item of each is its test row
    rows = [
        {"user": user, "item": item, "time": str(time), "view": "1", "cart": "1", "buy": "1"}
        for user, items in orders.items()
        for time, item in enumerate(items)
    ]
    rare = []
    for name, some in {"whole": rows, "without": rows[:-1]}.items():
        source = write_log(tmp_path / f"{name}.csv", some)
        floors = Recipe(min_item_targets=3, min_user_targets=0)
        rare.append(prepared(source, tmp_path / name, FLAGS, floors)["left_out"]["rare_item"])
    assert rare == [0, 2]  # both train rows of x


flags = st.sampled_from([*ABSENT, *ABSENT, *PRESENT])


def known_log(name: str, draw: Any, size: int) -> tuple[list[dict[str, str]], list[Row]]:
    """Rows of a data set as its owner writes them, with columns that nobody reads, and what they mean."""
    form = KNOWN_LOGS[name].form
    rows, read = [], []
    for place in range(size):
        user, item, time = draw(st.integers(0, 3)), draw(st.integers(0, 5)), draw(st.integers(1, 4))
        shown = {
            "gender": "\\N",
            form.item: str(item),
            **{name: draw(flags) for name in form.columns},
            form.user: str(user),
        }
        behaviors = frozenset(
            b for b, c in zip(form.behaviors, form.columns, strict=True) if PRESENT.get(shown[c])
        )
        if form.time:
            shown[form.time] = str(1_684_000_000_000 + time)
        rows.append(shown)
        read.append((user, item, time if form.time else place, behaviors))
    return rows, read


@pytest.mark.parametrize("name", ["kuaisar", "qk-video", "qk-article"])
@settings(max_examples=12)
@given(st.data())
def test_the_papers_logs(name: str, data: st.DataObject) -> None:
    """Interleaved users, tied timestamps, True and 1, blanks and \\N, columns in any order: the loops' split."""
    rows, read = known_log(name, data.draw, data.draw(st.integers(20, 70)))
    check(rows, read, KNOWN_LOGS[name].form, data.draw(recipes))


@pytest.mark.parametrize("form", [FLAGS, EVENTS], ids=["a column a behavior", "a row an event"])
@settings(max_examples=20)
@given(st.data())
def test_event_logs(form: LogFormat, data: st.DataObject) -> None:
    """Any form of file, any ids, ties, rows without user, item, time or a known behavior, one or two
    auxiliary behaviors: the loops' split."""
    missing = data.draw(st.sampled_from([None, *MISSING]))
    users = st.sampled_from(["a", "a", "ä,b", "ä,b", "007", "007", missing])
    items = st.sampled_from(["x", "x", 'c"d', 'c"d', "7", "7", "07", missing])
    times = st.sampled_from([*map(str, range(8, 20)), "1e1", missing])
    form = form.model_copy(update={"keep_repeats": data.draw(st.booleans())})
    rows, read = [], []
    for _ in range(data.draw(st.integers(40, 80))):
        user, item, time = data.draw(users), data.draw(items), data.draw(times)
        shown: dict[str, Any] = {"time": time, "user": user, "more": "x"}
        if form.type:
            event = data.draw(st.sampled_from(["view", "view", "cart", "buy", "logout", None]))
            behaviors = frozenset({event} & set(form.behaviors))
            shown |= {"event": event, "item": item}
        else:
            values = {name: data.draw(flags) for name in form.columns}
            behaviors = frozenset(name for name, value in values.items() if PRESENT.get(value))
            shown |= values | {"item": item}
        rows.append(shown)
        known = [None if value == missing else value for value in (user, item, time)]
        user, item, time = known
        read.append((user, item, None if time is None else float(time), behaviors))
    auxiliary = data.draw(st.sampled_from(["view", ("view", "cart"), ("cart", "buy")]))
    check(rows, read, form, data.draw(recipes), data.draw(st.sampled_from(SUFFIXES)), auxiliary)


def test_a_session_merges_what_its_times_do_not(tmp_path: Path) -> None:
    """Rows of one user, item and session are one interaction, at the time of the first; others merge by their time."""
    rows = [
        {"user": "u", "item": item, "time": str(time), "event": event, "visit": visit}
        for item, time, event, visit in [
            ("a", 5, "buy", "s"), ("b", 3, "view", "s"), ("a", 1, "view", "s"), ("a", 7, "view", "t"),
            ("c", 8, "cart", None), ("c", 8, "view", None), ("c", 9, "cart", None), ("d", 10, "cart", "t"),
            ("b", 11, "buy", "t"), ("c", 12, "buy", "t"),
        ]
    ]  # fmt: skip
    form = EVENTS.model_copy(update={"session": "visit"})
    prepared(write_log(tmp_path / "log.csv", rows), tmp_path / "out", form)
    found = read_prepared(tmp_path / "out", form.behaviors)
    assert found["train"] == [
        ("u", "a", frozenset({"view", "buy"})),
        ("u", "b", frozenset({"view"})),
        ("u", "a", frozenset({"view"})),
        ("u", "c", frozenset({"cart", "view"})),
        ("u", "c", frozenset({"cart"})),
        ("u", "d", frozenset({"cart"})),
    ]
    assert found["valid"] == [("u", "b", frozenset({"buy"}))]
    assert found["test"] == [("u", "c", frozenset({"buy"}))]
