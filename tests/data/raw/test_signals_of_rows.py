"""What a row of a log says by alternatives, thresholds and what is only seen is what plain loops make of it."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blade_tune.data.raw.database import connected
from blade_tune.data.raw.forms import LogPart, open_log
from blade_tune.data.raw.load import Log
from blade_tune.data.raw.settings import EVERY_ROW, LogFormat, of_now
from blade_tune.errors import DataError
from tests.cli.program import call
from tests.data.raw.logs import ALL, SUFFIXES, prepared, write_log
from tests.data.raw.slow_twin import SEEN, Row
from tests.data.raw.test_split_of_logs import check, recipes

MISSING = ("", "\\N", "NA", "null", "-")
BEHAVIORS = ("view", "like", "love")
TYPES = ("view", "look", "4", "5", "4|5", "a\\b", "skip", "shown")
FLAGS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "False": False}
LEASTS = (4.0, 0.0, -1.5, 0.5, 0.1 + 0.2, 1e3, 2.0**60, 5e-324, 1e300)
NUMBERS = (
    *("4", "4.0", "+4", "4e0", "0.4E1", "40e-1", "3.9999", "4.", "0", "-0", ".5", "-1.5", "-1.50"),
    *("0.3", "0.30000000000000001", "0.30000000000000004", "1e3", "999.99", "1e-400", "1e300"),
    *("1152921504606846976", "1152921504606846975", "1152921504606846700"),
)


def escaped(values: list[str]) -> str:
    return "|".join(value.replace("|", "\\|") for value in values)


def placed(draw: Any, shown: dict[str, Any], behaviors: frozenset[str], rows: Any) -> None:
    """Add a row to those of a log and to those that it means."""
    user, item, time = (
        draw(st.sampled_from(values))
        for values in (["a", "b", None], ["x", "y", "z", None], [*range(9), None])
    )
    written = {"user": user, "item": item, "time": None if time is None else str(time)}
    rows[0].append(written | shown)
    rows[1].append((user, item, time, behaviors))


@settings(max_examples=25)
@given(st.data())
def test_types(data: st.DataObject) -> None:
    """Some values of a type for each behavior, one value for several behaviors, values and * that are only seen."""
    named = [
        data.draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=4, unique=True))
        for _ in BEHAVIORS
    ]
    rest = [name for name in TYPES if not any(name in values for values in named)]
    seen = data.draw(st.lists(st.sampled_from([*rest, EVERY_ROW]), unique=True, max_size=3))
    form = LogFormat(
        user="user",
        item="item",
        time="time",
        type="event",
        behaviors=BEHAVIORS,
        columns=tuple(map(escaped, named)),
        seen=tuple(seen),
    )
    rows: tuple[list[dict[str, Any]], list[Row]] = ([], [])
    events = [*TYPES, *data.draw(st.lists(st.sampled_from([*TYPES, "other", None]), min_size=40))]
    for event in events:
        behaviors = frozenset(
            b for b, values in zip(BEHAVIORS, named, strict=True) if event in values
        )
        if not behaviors and (event in seen or EVERY_ROW in seen):
            behaviors = SEEN
        placed(data.draw, {"event": event}, behaviors, rows)
    check(*rows, form, data.draw(recipes), data.draw(st.sampled_from(SUFFIXES)))


def value_and_meaning(draw: Any, least: float | None) -> tuple[str | None, bool]:
    """A cell of a column of flags, or of numbers that count from one on, and whether it counts."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from([*MISSING, None])), False
    if least is None:
        text = draw(st.sampled_from(list(FLAGS)))
        return text, FLAGS[text]
    near = [repr(least), *(repr(math.nextafter(least, to)) for to in (-math.inf, math.inf))]
    drawn = st.floats(allow_nan=False, allow_infinity=False).map(repr)
    text = draw(st.sampled_from([*near, *NUMBERS]) | drawn)
    return text, float(text) >= least


@settings(max_examples=25)
@given(st.data())
def test_columns(data: st.DataObject) -> None:
    """Some columns for each behavior, numbers at, below and above a threshold, columns and * that are only seen."""
    names = ["f1", "f|2", "f 3", "stars", "watch_s", "hours"]
    places = [data.draw(st.sampled_from([*BEHAVIORS, "seen", "unused"])) for _ in names]
    places[:3] = BEHAVIORS
    of = dict(zip(data.draw(st.permutations(names)), places, strict=True))
    leasts = {
        name: data.draw(st.none() | st.sampled_from(LEASTS)) if of[name] != "unused" else None
        for name in names
    }
    seen = [name for name in names if of[name] == "seen"]
    seen += [EVERY_ROW] if data.draw(st.booleans()) else []
    form = LogFormat(
        user="user",
        item="item",
        time="time",
        behaviors=BEHAVIORS,
        columns=tuple(escaped([name for name in names if of[name] == b]) for b in BEHAVIORS),
        thresholds={name: least for name, least in leasts.items() if least is not None},
        seen=tuple(seen),
    )
    rows: tuple[list[dict[str, Any]], list[Row]] = ([], [])
    for _ in range(data.draw(st.integers(40, 60))):
        cells = {name: value_and_meaning(data.draw, leasts[name]) for name in names}
        counting = {of[name] for name, (_, counts) in cells.items() if counts}
        behaviors = frozenset(counting) & frozenset(BEHAVIORS)
        if not behaviors and ("seen" in counting or EVERY_ROW in seen):
            behaviors = SEEN
        placed(data.draw, {name: text for name, (text, _) in cells.items()}, behaviors, rows)
    if any(all(row[name] in (None, *MISSING) for row in rows[0]) for name in seen if name in of):
        return  # an empty column is another law
    check(*rows, form, data.draw(recipes), data.draw(st.sampled_from(SUFFIXES)))


def masks_of(source: Path, form: LogFormat) -> list[tuple[int, bool]]:
    """The mask of each row of a log, and whether it is only seen."""
    with connected(source.parent) as database:
        Log(database, open_log([LogPart(source, form)], database, source.parent))
        return database.execute("SELECT mask, seen FROM rows ORDER BY rowid").fetchall()


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet", ".csv"])
def test_numbers_of_a_form_count_as_their_digits(tmp_path: Path, suffix: str) -> None:
    """A number of JSON, or in a floating column of Parquet, counts as it would be written."""
    stars = [4.1, 0.1 + 0.2, 0.3, None, 1e300, -4.0]
    rows = [{"user": "u", "item": "i", "stars": number} for number in stars]
    form = LogFormat(
        user="user",
        item="item",
        behaviors=("rate", "like"),
        columns=("*", "stars"),
        thresholds={"stars": 0.1 + 0.2},
    )
    masks = [mask for mask, _ in masks_of(write_log(tmp_path / f"log{suffix}", rows), form)]
    assert masks == [3, 3, 1, 1, 3, 1]


# --- what cannot be ---

ROWS = [
    {"user": f"u{n % 3}", "item": f"i{n % 5}", "did": "buy", "stars": str(n % 6), "opened": "1"}
    for n in range(30)
]
COMMAND = "data prepare event-log --user user --item item --name log -q"
TYPED = ["--type", "did", "--behaviors"]
REFUSED: dict[str, tuple[list[str], str]] = {
    "no behaviors": ([], "Missing option '--behaviors'"),
    "a threshold that is no pair": (
        ["--behaviors", "stars", "--threshold", "stars"],
        "--threshold must be COLUMN=NUMBER, as in watch_s=30, got 'stars'.",
    ),
    "a threshold without a column": (
        ["--behaviors", "stars", "--threshold", "=4"],
        "--threshold must be COLUMN=NUMBER, as in watch_s=30, got '=4'.",
    ),
    "a threshold that is no number": (
        ["--behaviors", "stars", "--threshold", "stars=many"],
        "got 'stars=many'",
    ),
    "an endless threshold": (
        ["--behaviors", "stars", "--threshold", "stars=inf"],
        "--threshold must be COLUMN=NUMBER",
    ),
    "two thresholds of a column": (
        ["--behaviors", "stars", "--threshold", "stars=4", "--threshold", "stars=5"],
        "--threshold must be given once for a column, got stars twice; leave out one.",
    ),
    "a threshold of another column": (
        ["--behaviors", "opened", "--threshold", "stars=4"],
        "thresholds must be of columns of behaviors (opened), got stars.",
    ),
    "a threshold of a type": (
        [*TYPED, "buy", "--threshold", "did=4"],
        "with a type (did) none is; name the values of the type that count, as in like=4|5, or leave out the type.",
    ),
    "words where numbers belong": (
        ["--behaviors", "did,opened", "--threshold", "did=4"],
        "did must be a number or nothing; row 1 has 'buy'.",
    ),
    "words where flags belong": (
        ["--behaviors", "opened", "--seen", "did"],
        "did must be 1, 0, true, false or nothing; row 1 has 'buy'.",
    ),
    "numbers where flags belong": (
        ["--behaviors", "stars,opened"],
        "row 3 has '2'. A number needs the least one that counts: --threshold stars=NUMBER.",
    ),
    "a threshold beyond all numbers": (
        ["--behaviors", "opened,like=stars", "--threshold", "stars=9.5"],
        "some row must have a number from 9.5 on in column 'stars' for each behavior, and none has.",
    ),
    "alternatives that no row has": (
        ["--behaviors", "opened,like=stars|did_like", "--threshold", "stars=4"],
        "must have one column 'did_like', got user, item, did, stars, opened.",
    ),
    "types that no row has": (
        [*TYPED, "buy,like=4|5"],
        "some row must have did '4' or '5' for each behavior, and none has.",
    ),
    "a type that is only seen and that no row has": (
        [*TYPED, "buy", "--seen", "shwn"],
        "some row must have did 'shwn' for what is only seen, and none has.",
    ),
    "a behavior that is only seen": (
        [*TYPED, "buy", "--seen", "buy"],
        "seen must differ from what stands for a behavior, got buy; leave it out there or here.",
    ),
    "only seen where every row has a behavior": (
        ["--behaviors", "rate=*", "--seen", "opened"],
        "seen is of rows without a behavior, and * gives every row one; leave out either.",
    ),
    "every row among the values of a type": (
        [*TYPED, "buy=x|*"],
        "* stands for every row where there is no type, got did.",
    ),
    "a column that is two things": (
        ["--behaviors", "a=stars|opened,b=opened"],
        "columns must differ, got opened twice",
    ),
    "a rating without --like-from": (
        ["--rating", "stars"],
        "--rating and --like-from must be given together; add --like-from NUMBER.",
    ),
    "--like-from without a rating": (["--like-from", "4"], "; add --rating COLUMN."),
    "--like-from that is no number": (
        ["--rating", "stars", "--like-from", "four"],
        "--like-from must be a NUMBER, as in 4, got 'four'.",
    ),
    **{
        f"a rating and {flag}": (
            ["--rating", "stars", "--like-from", "4", flag, value],
            f"leave out {flag}, or leave out --rating and name all --behaviors.",
        )
        for flag, value in {
            "--behaviors": "view",
            "--threshold": "stars=3",
            "--type": "did",
            "--seen": "opened",
        }.items()
    },
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_one_line(tmp_path: Path, name: str) -> None:
    """With the way out, code 2, and nothing written."""
    options, law = REFUSED[name]
    write_log(tmp_path / "log.csv", ROWS)
    ended = call(*COMMAND.split(), "--source", "log.csv", *options, cwd=tmp_path)
    assert ended.code == 2
    assert law in ended.err
    assert "Traceback" not in ended.err
    if "Usage" not in ended.err:
        assert ended.err.count("\n") == 1
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["log.csv"]


def test_a_misspelled_type_that_is_only_seen_is_told_the_right_one(tmp_path: Path) -> None:
    """The other types are named, and the most similar one."""
    rows = [{**row, "did": ("buy", "shown", "left")[n % 3]} for n, row in enumerate(ROWS)]
    write_log(tmp_path / "log.csv", rows)
    options = [*TYPED, "buy", "--seen", "shwn", "--source", "log.csv"]
    ended = call(*COMMAND.split(), *options, cwd=tmp_path)
    assert "; other values of did: left, shown. Did you mean shown?" in ended.err


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv"])
def test_an_empty_column_of_what_is_only_seen_is_refused(tmp_path: Path, suffix: str) -> None:
    """In JSON it may be misspelled; a column with a value in some row is none such, in any form."""
    rows = [
        {**row, "view": str(n % 2), "opened": "0" if n == 17 else None}
        for n, row in enumerate(ROWS)
    ]
    form = LogFormat(
        user="user",
        item="item",
        behaviors=("view", "like"),
        columns=("view", "stars"),
        thresholds={"stars": 3},
        seen=("opened",),
    )
    assert prepared(write_log(tmp_path / f"a{suffix}", rows), tmp_path / "out", form, ALL)
    rows[17]["opened"] = None
    with pytest.raises(DataError, match="something in column 'opened' for what is only seen"):
        prepared(write_log(tmp_path / f"b{suffix}", rows), tmp_path / "out", form, ALL)


# --- what was written down before ---


def test_a_bar_in_a_format_of_before_stands_for_itself(tmp_path: Path) -> None:
    """Before behaviors had alternatives, a column or type could be called a|b; a format of now is read as it is."""
    now = LogFormat(user="user", item="item", behaviors=("a", "b"), columns=("a|b", "c"))
    dumped = now.model_dump(mode="json")
    assert LogFormat.of_stored(dumped) == now
    before = {name: value for name, value in dumped.items() if name not in ("seen", "thresholds")}
    assert LogFormat.of_stored(before).alternatives == (("a|b",), ("c",))
    assert of_now(of_now(before) | {"seen": ()})["columns"] == ["a\\|b", "c"]
    rows = [{"user": "u", "item": f"i{n}", "a|b": str(n % 2), "c": "1"} for n in range(4)]
    source = write_log(tmp_path / "log.csv", rows)
    assert [mask for mask, _ in masks_of(source, LogFormat.of_stored(before))] == [2, 3, 2, 3]
