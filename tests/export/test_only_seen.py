"""What a user only knows is never recommended, and changes nothing else of what is recommended."""

import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blade_tune.data.raw.forms import LogPart
from blade_tune.errors import ConfigError
from blade_tune.export.histories import read_histories
from blade_tune.models import MODELS
from tests.builders import make_catalog
from tests.cli.program import call
from tests.data.raw.logs import write_log
from tests.export.logged import form_of, ids, made

CATALOG = make_catalog(num_items=6)
USERS, ITEMS = ids("u", CATALOG.num_users), ids("i", CATALOG.num_items)
FORM = form_of(CATALOG, seen=("shown", "opened"))
RECOMMENDERS = {name: made(name, CATALOG, FORM) for name in MODELS}

users = st.sampled_from([*USERS[:2], "new", "other"])
items = st.sampled_from([*ITEMS, "no such item"])
histories = st.dictionaries(
    users, st.lists(st.tuples(items, st.sampled_from([["click"], ["like", "click"], []])))
)
Lists = dict[str, list[tuple[str, float]]]


def close(found: Lists, expected: Lists) -> bool:
    """The same items for the same users, and scores that differ by rounding at most."""
    for user, ranked in expected.items():
        assert [item for item, _ in found[user]] == [item for item, _ in ranked]
        assert dict(found[user]) == pytest.approx(dict(ranked), abs=1e-5)
    return set(found) == set(expected)


@settings(max_examples=60)
@given(
    name=st.sampled_from(list(MODELS)),
    met=histories,
    seen=st.dictionaries(users, st.lists(items)),
    k=st.sampled_from([1, 3, 9]),
)
def test_seen_items_are_taken_out_of_the_ranking(name: str, met: Any, seen: Any, k: int) -> None:
    """By Python, of every model: the ranking of all items without those met or seen, and nothing else moves.

    With `include_seen` what was only seen is of no account at all. A user who has only seen items gets nothing.
    """
    recommender = RECOMMENDERS[name]
    whole = recommender.recommend(met, k=len(ITEMS), include_seen=True)
    known = {
        user: {item for item, names in met.get(user, ()) if names} | set(seen.get(user, ()))
        for user in {*met, *seen}
    }
    left = {
        user: [entry for entry in whole.get(user, []) if entry[0] not in items][:k]
        for user, items in known.items()
    }
    assert close(recommender.recommend(met, k=k, seen=seen), left)
    both = recommender.recommend(met, k=len(ITEMS), include_seen=True, seen=seen)
    assert close(both, {user: whole.get(user, []) for user in known})


@settings(max_examples=40)
@given(
    rows=st.lists(
        st.tuples(
            users | st.none(),
            items | st.none(),
            st.sampled_from(["click", "like", "shown", "opened", "left"]),
            st.sampled_from(["1", "2", "3", None]),
        ),
        min_size=1,
        max_size=30,
    ),
    suffix=st.sampled_from([".csv", ".jsonl"]),
    include=st.booleans(),
)
def test_a_log_says_what_python_says(rows: Any, suffix: str, include: bool) -> None:
    """Rows that are only seen are `seen`, with or without a time; the same users, items and scores come out."""
    rows = [("u1", "i1", "click", "1"), *rows]
    met: dict[str, dict[tuple[str, str], list[str]]] = {user: {} for user, *_ in rows if user}
    seen: dict[str, list[str]] = {}
    for user, item, did, at in rows:
        if user and item and did in ("shown", "opened"):
            seen.setdefault(user, []).append(item)
        elif user and item and at and did in CATALOG.behaviors:
            met[user].setdefault((at, item), []).append(did)
    given = {
        user: [(item, names) for (_, item), names in sorted(found.items(), key=lambda e: e[0][0])]
        for user, found in met.items()
    }
    recommender = RECOMMENDERS["blade"]
    with TemporaryDirectory() as folder:
        written = [dict(zip(("user", "item", "did", "at"), row, strict=True)) for row in rows]
        path = write_log(Path(folder) / f"log{suffix}", written)
        read = read_histories([LogPart(path, FORM)], recommender.item_numbers)
    assert read.left_out["seen_only"] == sum(
        bool(user and item and at) and did in ("shown", "opened") for user, item, did, at in rows
    )
    found = recommender.rank(read, None, len(ITEMS), include_seen=include)
    lists: Lists = {user: [] for user in read.users}
    for place, item, score in zip(found.places_M, found.items_M, found.scores_M, strict=True):
        lists[read.users[place]].append((ITEMS[item - 1], float(score)))
    expected = recommender.recommend(given, k=len(ITEMS), seen=seen, include_seen=include)
    assert close(lists, expected)
    if not include:
        for user, names in seen.items():
            assert not {item for item, _ in lists[user]} & set(names)


@pytest.mark.parametrize(
    ("met", "seen", "note"),
    [
        ({}, {"a": ["i1"]}, "1 users have only seen items, so they have no history and get no"),
        ({}, {"a": ["none"]}, "1 users have only seen items, so they have no history and get no"),
        ({"a": [("none", ["click"])]}, {"a": ["i1"]}, "1 users have no known item and get no"),
        (
            {"a": [("i1", ["click"])]},
            {"a": ITEMS},
            "1 users have met or seen every item and get no recommendation, unless such ones may",
        ),
        ({"a": []}, {"a": []}, "1 users have no row with an item and a behavior and get no"),
    ],
)
def test_who_gets_nothing_is_told_why(met: Any, seen: Any, note: str, caplog: Any) -> None:
    """A user without a history has no ranking, whatever was seen; one reason a user."""
    with caplog.at_level(logging.WARNING, "blade_tune"):
        assert RECOMMENDERS["blade"].recommend(met, seen=seen) == {"a": []}
    found = [message for message in caplog.messages if "get no recommendation" in message]
    assert len(found) == 1
    assert note in found[0]


def test_an_id_of_a_seen_item_is_text() -> None:
    """As all ids are."""
    with pytest.raises(ConfigError, match="ids of users and items must be text, got 3"):
        RECOMMENDERS["blade"].recommend({}, seen={"u1": [3]})  # type: ignore[list-item]


def test_recommend_reads_seen_by_its_own_flag(bundle: Path, tmp_path: Path) -> None:
    """A log of histories may say what is only seen, though that of the training did not; --include-seen has it too."""
    flags = dict.fromkeys(("click", "like", "share", "follow"), "0")
    rows = [
        {"user": user, "item": str(item), **flags, "click": str(int(clicked)), "shown": str(shown)}
        for user, item, clicked, shown in [
            ("1", 3, True, 0),
            ("1", 4, False, 1),
            ("2", 5, False, 1),
        ]
    ]
    write_log(tmp_path / "users.csv", rows)
    words = ["recommend", "--bundle", str(bundle), "--users", "users.csv", "-k", "99", "-q"]
    again = call(*words, "--seen", "shown", "--include-seen", cwd=tmp_path)
    items = {line.split(",")[1] for line in again.out.splitlines()[1:]}
    assert {"3", "4"} <= items
    left_out = {}
    for name, more in {"no": [], "seen": ["--seen", "shown"], "*": ["--seen", "*"]}.items():
        ended = call(*words, *more, cwd=tmp_path)
        assert ended.code == 0, ended.err
        found = {line.split(",")[1] for line in ended.out.splitlines()[1:]}
        left_out[name] = items - found
        if more:
            assert "2 rows are of items that were only seen, which are no part of" in ended.err
            assert "1 users have only seen items, so they have no history and get no" in ended.err
    assert left_out == {"no": {"3"}, "seen": {"3", "4"}, "*": {"3", "4"}}
