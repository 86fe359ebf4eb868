"""Every user of an input is recommended to or reported, and the command and Python say the same."""

import csv
import io
import json
import logging
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from blade_tune.data.raw.forms import LogPart
from blade_tune.errors import ConfigError, DataError
from blade_tune.export.histories import Histories, read_histories
from blade_tune.export.output import write_recommendations
from blade_tune.export.recommender import Recommender
from tests.builders import make_catalog
from tests.cli.program import call
from tests.data.raw.logs import write_log
from tests.export.logged import form_of, ids, made

CATALOG = make_catalog(num_items=4)
USERS, ITEMS = ids("u", CATALOG.num_users), ids("i", CATALOG.num_items)
FORM = form_of(CATALOG)
COLUMNS = ("user", "item", "at", "did")
Row = dict[str, str | None]


MODELS = {name: made(name, CATALOG, FORM) for name in ("blade", "item_knn")}


@st.composite
def logs(draw: st.DrawFn) -> list[Row]:
    """Rows in which anything may be missing or unknown, with repeats, ties in time, and users who met all items."""
    cells = st.fixed_dictionaries(
        {
            "user": st.sampled_from([*USERS[:2], "new", "other", None]),
            "item": st.sampled_from([*ITEMS, "no such item", None]),
            "at": st.sampled_from(["1", "2", "3", None]),
            "did": st.sampled_from([*CATALOG.behaviors[:2], "purchase", None]),
        }
    )
    rows = draw(st.lists(cells, max_size=25))
    if draw(st.booleans()):
        rows += [{"user": "all", "item": item, "at": "1", "did": "click"} for item in ITEMS]
    return rows


def twin(rows: list[Row]) -> dict[str, list[tuple[str, list[str]]]]:
    """The histories of a log in plain Python: rows of one user, item and time are one interaction."""
    met: dict[tuple[str, str, int], list[str]] = {}
    for row in rows:
        user, item, at, did = (row[name] for name in COLUMNS)
        if user and item and at and did in CATALOG.behaviors:
            met.setdefault((user, item, int(at)), []).append(did)
    histories: dict[str, list[tuple[str, list[str]]]] = {
        row["user"]: [] for row in rows if row["user"]
    }
    for (user, item, _), behaviors in sorted(met.items(), key=lambda entry: entry[0][2]):
        histories[user].append((item, behaviors))
    return histories


def read(rows: list[Row], suffix: str, recommender: Recommender) -> Histories:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"log{suffix}"
        if suffix == ".csv":
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows(rows)
        else:
            lines = [
                json.dumps({name: value for name, value in row.items() if value is not None})
                for row in rows
            ]
            path.write_text("".join(line + "\n" for line in lines))
        return read_histories([LogPart(path, FORM)], recommender.item_numbers)


def refused(notes: Any) -> int:
    """How many users the notes say to get nothing."""
    found = [re.match(r"([\d,]+) users .* and get no recommendation", note) for note in notes]
    return sum(int(match[1]) for match in found if match)


@settings(max_examples=60, deadline=None)
@given(
    rows=logs(),
    suffix=st.sampled_from([".csv", ".jsonl"]),
    name=st.sampled_from(list(MODELS)),
    seen=st.booleans(),
    k=st.sampled_from([1, 3, 9]),
)
def test_every_user_is_recommended_to_or_counted(rows, suffix, name, seen, k):
    """Of any log, in any form: as Python recommends from the same histories, and nobody is lost."""
    recommender = MODELS[name]
    has_no_user = not any(row["user"] for row in rows)
    if has_no_user and (rows or suffix == ".jsonl"):
        with pytest.raises(DataError, match=r"some row must have a user|must be a JSON object"):
            read(rows, suffix, recommender)
        return
    histories = read(rows, suffix, recommender)
    found = recommender.rank(histories, ["like"], k, include_seen=seen)
    lists: dict[str, list[tuple[str, float]]] = {user: [] for user in histories.users}
    for place, item, score in zip(found.places_M, found.items_M, found.scores_M, strict=True):
        lists[histories.users[place]].append((ITEMS[item - 1], float(score)))
    given = twin(rows)
    assert set(lists) == set(given)
    expected = recommender.recommend(given, ["like"], k, include_seen=seen)
    assert {user: [item for item, _ in found] for user, found in lists.items()} == {
        user: [item for item, _ in found] for user, found in expected.items()
    }
    for user, items in lists.items():
        assert dict(items) == pytest.approx(dict(expected[user]), abs=1e-5)
        known = {item for item, _ in given[user]} & set(ITEMS)
        left = len(ITEMS) - (0 if seen else len(known))
        assert len(items) == (min(k, left) if known else 0)
    assert refused(found.notes) == sum(not items for items in lists.values())


@given(
    history=st.lists(
        st.tuples(st.sampled_from(ITEMS), st.sampled_from([(), ("click",), ("like", "click")]))
    )
)
@settings(deadline=None)
def test_repeats_and_rows_without_a_behavior_are_of_no_account_in_python(history):
    """Of repeats of item and set the first counts, as in a preparation; a row without a behavior is none."""
    recommender = MODELS["blade"]
    firsts = list(dict.fromkeys((item, tuple(sorted(names))) for item, names in history if names))
    assert recommender.recommend({"u1": history}) == recommender.recommend({"u1": firsts})


@pytest.mark.parametrize(
    "histories", [{}, {"u1": []}, {"u1": [("none", ["click"])]}, {"u1": [("i1", [])]}]
)
def test_python_without_a_known_item_recommends_nothing(histories, caplog):
    """No user, no history, no known item, no behavior: empty lists, and a warning that says why."""
    with caplog.at_level(logging.WARNING, "blade_tune"):
        assert MODELS["blade"].recommend(histories) == {user: [] for user in histories}
    words = "get no recommendation" if histories else "have no user"
    assert any(words in message for message in caplog.messages)


@pytest.mark.parametrize("histories", [{3: []}, {"u1": [(3, ["click"])]}])
def test_an_id_that_is_no_text_is_refused(histories):
    """A number would be an unknown item without a word."""
    with pytest.raises(ConfigError, match="ids of users and items must be text, got 3"):
        MODELS["blade"].recommend(histories)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_scores_that_are_no_numbers_are_an_error(value):
    """Where a score is NaN or infinite nothing is recommended, and that is said."""
    recommender = made("blade", CATALOG, FORM)
    with torch.no_grad():
        recommender.model.items.weight[2] = value
    with pytest.raises(DataError, match="a score is NaN or infinite"):
        recommender.recommend({"u1": [("i1", ["click"])]}, k=4)


# --- the command ---

HEADER = "user,item,click,like,share,follow\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (HEADER, "the histories have no user, so nothing is recommended"),
        (
            HEADER + "u,no such item,1,0,0,0\n",
            "users have no known item and get no recommendation: u",
        ),
        (
            HEADER + "7,3,0,0,0,0\n",
            "users have no row with an item and a behavior and get no recommendation: 7",
        ),
        (HEADER + "7,,1,0,0,0\n", "1 rows have no item and are left out"),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet", None])
def test_a_log_without_a_known_item_gives_an_empty_table(bundle, tmp_path, content, words, suffix):
    """A report, exit code 0 and a file with a header alone, never a traceback."""
    (tmp_path / "users.csv").write_text(content.replace("u,no such item", "7,999"))
    out = ["--out", f"found{suffix}"] if suffix else []
    ended = call(
        "recommend", "--bundle", str(bundle), "--users", "users.csv", "-q", *out, cwd=tmp_path
    )
    assert (ended.code, "Traceback" in ended.err) == (0, False)
    assert words.replace(": u", ": 7") in ended.err
    if suffix is None:
        assert ended.out == "user,item,rank,score\n"
    else:
        assert duckdb.sql(f"SELECT count(*) FROM '{tmp_path}/found{suffix}'").fetchall() == [(0,)]  # noqa: S608


def test_a_row_of_another_type_is_counted_with_it(bundle, tmp_path):
    """A user whose rows bear none of the behaviors is reported, and so is what they bear."""
    rows = [{"who": "1", "what": "3", "did": "click"}, {"who": "2", "what": "3", "did": "purchase"}]
    write_log(tmp_path / "users.csv", rows)
    words = ["--user", "who", "--item", "what", "--type", "did", "-q"]
    ended = call("recommend", "--bundle", str(bundle), "--users", "users.csv", *words, cwd=tmp_path)
    assert (
        "1 rows have a type that is none of the behaviors (purchase) and are left out" in ended.err
    )
    assert (
        "1 users have no row with an item and a behavior and get no recommendation: 2" in ended.err
    )
    assert {row["who"] for row in csv.DictReader(io.StringIO(ended.out))} == {"1"}


# --- ids that are more than text ---

FORMULAS = {
    "=HYPERLINK(1)": "'=HYPERLINK(1)",
    "@SUM(1+1)": "'@SUM(1+1)",
    "-2+3+cmd|' /C calc'!A0": "'-2+3+cmd|' /C calc'!A0",
    "+1+1": "'+1+1",
    "\N{FULLWIDTH EQUALS SIGN}1": "'\N{FULLWIDTH EQUALS SIGN}1",
    "'=1": "''=1",
    "-12": "-12",
    "@name": "@name",
    "-Xyz_1": "-Xyz_1",
    "a=b": "a=b",
    "'quoted": "'quoted",
}


def test_no_id_is_a_formula_in_csv(bundle, tmp_path):
    """An apostrophe stands before what a spreadsheet would run, one may take it away again; Parquet is exact."""
    rows = [{"user": user, "item": "3", "did": "click"} for user in FORMULAS]
    write_log(tmp_path / "users.csv", rows)
    model = Recommender.load(bundle).model
    recommender = Recommender(
        model, FORM.model_copy(update={"time": None}), ["1"], [str(n) for n in range(1, 39)]
    )
    histories = read_histories(
        [LogPart(tmp_path / "users.csv", recommender.log)], recommender.item_numbers
    )
    found = recommender.rank(histories, None, 1)
    for suffix in (".csv", ".parquet"):
        notes = write_recommendations(
            found, histories.users, recommender.items, recommender.log, tmp_path / f"found{suffix}"
        )
        assert len(notes) == (suffix == ".csv")
    with (tmp_path / "found.csv").open(newline="") as file:
        assert [row["user"] for row in csv.DictReader(file)] == [
            FORMULAS[user] for user in sorted(FORMULAS)
        ]
    exact = duckdb.sql(f"SELECT \"user\" FROM '{tmp_path}/found.parquet'").fetchall()  # noqa: S608
    assert {user for (user,) in exact} == set(FORMULAS)


@pytest.mark.parametrize("user", ["a\u202eb", "c\u200fd", "e\x9bf"])
def test_ids_cannot_steer_the_terminal(bundle, tmp_path, user):
    """Control characters, C1 ones and those that turn the direction around are refused, and stand as their codes."""
    write_log(tmp_path / "users.csv", [{"user": user, "item": "3", "did": "click"}])
    recommender = Recommender.load(bundle)
    form = FORM.model_copy(update={"time": None})
    with pytest.raises(DataError, match="user must be text without control characters") as error:
        read_histories([LogPart(tmp_path / "users.csv", form)], recommender.item_numbers)
    assert str(error.value).isprintable()
    assert repr(user) in str(error.value)


@pytest.mark.parametrize("name", ["a\\b.csv", "a\\b.parquet", "\\.csv"])
def test_a_backslash_is_part_of_a_name(bundle, tmp_path, name):
    """The file is called as --out says, and nothing else is left."""
    (tmp_path / "users.csv").write_text(HEADER + "7,3,1,0,0,0\n")
    ended = call(
        "recommend",
        "--bundle",
        str(bundle),
        "--users",
        "users.csv",
        "-q",
        "--out",
        name,
        cwd=tmp_path,
    )
    assert (ended.code, ended.out) == (0, f"{name}\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "users.csv"])
