"""Readers of the forms beyond plain CSV: what a file means does not depend on how it is written down."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

import duckdb
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from blade_tune.data.raw import encodings
from blade_tune.data.raw.database import connected
from blade_tune.data.raw.files import MISSING
from blade_tune.data.raw.find import name_of
from blade_tune.data.raw.forms import LogPart, open_log
from blade_tune.data.raw.load import Log
from blade_tune.data.raw.settings import LogFormat
from blade_tune.errors import DataError
from tests.data.raw.logs import COMPRESS, content

FORM = LogFormat(user="user", item="item", type="event", behaviors=["view"], columns=["view"])
FLAGS = FORM.model_copy(
    update={"type": None, "behaviors": ("view", "buy"), "columns": ("view", "buy")}
)
DATED = FORM.model_copy(update={"time": "time"})


def pairs_of(codec: str = "utf-8") -> st.SearchStrategy[list[tuple[str, str]]]:
    """Users and items of text that an encoding has, and that CSV needs no quotes for."""
    known = st.characters(codec=codec, exclude_categories=["C", "Z", "S", "P"])
    text = st.text(known, min_size=1, max_size=8)
    ids = text.filter(lambda text: text not in (*MISSING, "nan", "NaN"))
    return st.lists(st.tuples(ids, ids), min_size=1, max_size=6)


pairs = pairs_of()


def rows_of(source: Path, form: LogFormat = FORM) -> list[tuple[Any, ...]]:
    """User and item of each row that a log is read as."""
    with TemporaryDirectory() as folder, connected(Path(folder)) as database:
        log = Log(database, open_log([LogPart(source, form)], database, Path(folder)))
        assert log.counts()["rows"] >= 0
        return database.execute("SELECT user_id, item_id FROM rows ORDER BY rowid").fetchall()


def events(met: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"user": user, "item": item, "event": "view"} for user, item in met]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1251", "utf-16", "utf-8-sig", "shift_jis"])
@settings(max_examples=4)
@given(data=st.data())
def test_an_encoding_is_of_no_account(encoding: str, data: st.DataObject) -> None:
    """Ids are those of the text, wherever the pieces end in which it is read."""
    suffix = data.draw(st.sampled_from([".csv", ".json"]))
    met = data.draw(pairs_of(encoding.removesuffix("-sig")))
    text = content(events(met), suffix).decode()
    text = json.dumps(json.loads(text), ensure_ascii=False) if suffix == ".json" else text
    with (
        TemporaryDirectory() as folder,
        patch.object(encodings, "CHUNK_BYTES", data.draw(st.integers(1, 40))),
    ):
        source = Path(folder) / f"log{suffix}"
        source.write_bytes(text.encode(encoding))
        assert rows_of(source, FORM.model_copy(update={"encoding": encoding})) == met


@settings(max_examples=10)
@given(st.binary(min_size=1, max_size=8), st.integers(0, 5))
def test_bytes_that_are_no_text_are_refused(bad: bytes, row: int) -> None:
    """In one line, with the line of the file and the way out."""
    try:
        bad.decode("ascii")
        assume(False)
    except UnicodeDecodeError:
        pass
    assume(b"\n" not in bad)
    lines = [b"user,item,event", *[b"a,b,view"] * 6]
    lines[1 + row] = bad + lines[1 + row]
    with TemporaryDirectory() as folder:
        source = Path(folder) / "log.csv"
        source.write_bytes(b"\n".join(lines))
        with pytest.raises(
            DataError, match=rf"log\.csv:{2 + row}: must be ascii text; name another"
        ):
            rows_of(source, FORM.model_copy(update={"encoding": "ascii"}))


blanks = st.text(" \t\r\n", max_size=3)


@settings(max_examples=10)
@given(pairs, st.lists(blanks, min_size=20, max_size=20), st.sampled_from(["", "\ufeff"]))
def test_an_array_is_the_objects_in_it(
    met: list[tuple[str, str]], space: list[str], mark: str
) -> None:
    """Whatever blanks stand between them."""
    objects = [json.dumps(row, indent=len(space[0])) for row in events(met)]
    spaced = f"{space[3]},{space[4]}".join(objects)
    with TemporaryDirectory() as folder:
        source = Path(folder) / "log.json"
        source.write_text(f"{mark}{space[0]}[{space[1]}{spaced}{space[2]}]{space[5]}")
        assert rows_of(source) == met


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize("column", ["user", "item"])
@settings(max_examples=4)
@given(met=pairs, data=st.data())
def test_nothing_nested_is_an_id(
    suffix: str, column: str, met: list[tuple[str, str]], data: st.DataObject
) -> None:
    """It is refused with its row, beside ids that only look like it."""
    rows: list[dict[str, Any]] = [*events([('{"id": 1}', "[2]")]), *events(met)]
    place = data.draw(st.integers(0, len(rows) - 1))
    with TemporaryDirectory() as folder:
        source = Path(folder) / f"log{suffix}"
        source.write_bytes(content(rows, suffix))
        assert rows_of(source) == [('{"id": 1}', "[2]"), *met]
        rows[place][column] = data.draw(st.sampled_from([{"id": 5}, ["a", "b"], {}, []]))
        source.write_bytes(content(rows, suffix))
        with pytest.raises(
            DataError, match=rf"{column} must be text or a number; row {place + 1} has"
        ):
            rows_of(source)


@settings(max_examples=10)
@given(
    pairs, st.sampled_from([".csv", ".json", ".jsonl"]), st.sampled_from(["", *COMPRESS]), st.data()
)
def test_a_log_may_be_cut_into_files(
    met: list[tuple[str, str]], form: str, packed: str, data: st.DataObject
) -> None:
    """Anywhere: in a folder they are one log again, in the order of their numbers, and so by a pattern."""
    cuts = sorted(
        data.draw(st.lists(st.integers(1, len(met) - 1), unique=True)) if len(met) > 1 else []
    )
    with TemporaryDirectory() as folder:
        for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(met)], strict=True)):
            path = Path(folder) / f"part-{8 + number}{form}{packed}"
            raw = content(events(met[start:end]), form)
            path.write_bytes(COMPRESS[packed](raw) if packed else raw)
        assert rows_of(Path(folder)) == rows_of(Path(folder) / "part-*") == met


@settings(max_examples=10)
@given(pairs.map(lambda met: list(dict(met).items())))
def test_a_folder_s_name_is_a_column(met: list[tuple[str, str]]) -> None:
    """As Hive, Spark and others partition Parquet: the name of the column and its value, percent-encoded."""
    with TemporaryDirectory() as folder, duckdb.connect() as database:
        for user, item in met:
            place = Path(folder) / "day=1" / f"user={quote(user)}"
            place.mkdir(parents=True)
            copied = f"COPY (SELECT $${item}$$ AS item, 'view' AS event) TO '{place}/x.parquet'"
            database.execute(copied)
        assert sorted(rows_of(Path(folder))) == sorted(met)


DATES = {
    "%m/%d/%Y %H:%M": "month",
    "%d/%m/%Y %H:%M:%S": "day",
    "%d.%m.%Y %H:%M": "day",
    "%m-%d-%Y": "month",
    "%m/%d/%Y %I:%M:%S %p": "month",
    "%Y/%m/%d": None,
    "%Y/%m/%d %H:%M:%S": None,
    "%Y.%m.%dT%H:%M": None,
    "%Y-%m-%d %H:%M:%S +0000": None,
    "%Y-%m-%d %H:%M:%S UTC": None,
    "%Y-%m-%d %H:%M:%S Z": None,
}
moments = st.lists(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)), min_size=1, max_size=8)


@pytest.mark.parametrize("form", DATES)
@settings(max_examples=8)
@given(times=moments)
def test_dates_are_read_as_they_were_written(form: str, times: list[datetime]) -> None:
    """Or refused, where no row shows whether the day or the month comes first and no option says it."""
    shown = [f"{time:{form}}" for time in times]
    meant = [
        datetime.strptime(text.removesuffix(" +0000"), form.removesuffix(" +0000"))
        for text in shown
    ]
    order = DATES[form]
    is_shown = order is None or any(time.day > 12 for time in times)
    with TemporaryDirectory() as folder:
        source = Path(folder) / "log.csv"
        rows = [{"user": "u", "item": "i", "event": "view", "time": text} for text in shown]
        source.write_bytes(content(rows, ".csv"))
        if not is_shown:
            with pytest.raises(
                DataError, match="or --date-order day or month must say it; row 1 has"
            ):
                moments_of(source, DATED)
        said = DATED.model_copy(update={"date_order": None if is_shown else order})
        assert moments_of(source, said) == [
            int((time - datetime(1970, 1, 1)).total_seconds()) for time in meant
        ]


def moments_of(source: Path, form: LogFormat) -> list[int]:
    """The seconds at which the rows of a log are."""
    with TemporaryDirectory() as folder, connected(Path(folder)) as database:
        log = Log(database, open_log([LogPart(source, form)], database, Path(folder)))
        found = database.execute(f"SELECT {log.time} FROM rows ORDER BY rowid").fetchall()  # noqa: S608
        return [micros // 10**6 for (micros,) in found]


def test_a_bad_row_is_named_with_its_file(tmp_path: Path) -> None:
    """Rows are counted in each file by itself."""
    form = LogFormat(user="user", item="item", behaviors=["view"], columns=["view"])
    for number, values in enumerate(["111", "11x1"]):
        (tmp_path / f"{number}.csv").write_text(
            "user,item,view\n" + "".join(f"a,b,{v}\n" for v in values)
        )
    with pytest.raises(
        DataError, match=r"1\.csv: view must be 1, 0, true, false or nothing; row 3 has 'x'"
    ):
        rows_of(tmp_path, form)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("my log.csv", "my-log"), ("журнал.csv.gz", "log-журнал"), ("2019-Oct.csv", "2019-Oct"), ("a/b*.csv", "b"),
        ("logs/*.csv", "logs"), ("événements (2).csv", "log-événements-2"), ("_x.csv", "x"), ("shop", "shop"),
    ],
)  # fmt: skip
def test_any_file_gives_a_data_set_its_name(source: str, name: str) -> None:
    """Blanks and marks become one dash; what a name may not begin with follows a word."""
    assert name_of(Path(source)) == name


MANY = 400_000  # more than one thread reads at a time


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json", ".parquet"])
@pytest.mark.parametrize("form", [FORM, FLAGS], ids=["a row an event", "a column a behavior"])
def test_rows_stay_in_the_order_of_the_file(tmp_path: Path, suffix: str, form: LogFormat) -> None:
    """However many there are, on several threads and over several files: it is the time where a log has none."""
    kind = {".csv": "csv", ".parquet": "parquet"}.get(suffix, f"json, ARRAY {suffix == '.json'}")
    with duckdb.connect() as database:
        rows = "SELECT n AS user, 'i' || n AS item, 'view' AS event, n % 2 AS view, 1 AS buy"
        for part in (0, 1):
            numbers = f"range({part} * {MANY}, {part} * {MANY} + {MANY}) t(n)"
            database.execute(
                f"COPY ({rows} FROM {numbers}) TO '{tmp_path}/{part}{suffix}' (FORMAT {kind})"
            )
    untimed = form.model_copy(update={"time": None})
    with TemporaryDirectory() as folder, connected(Path(folder)) as database:
        Log(database, open_log([LogPart(tmp_path, untimed)], database, Path(folder)))
        wrong = (
            "SELECT count(*) FROM rows WHERE user_id <> rowid::VARCHAR OR item_id <> 'i' || rowid"
        )
        assert database.execute("SELECT count(*) FROM rows").fetchall() == [(2 * MANY,)]
        assert database.execute(wrong).fetchall() == [(0,)]


ROWS = LogFormat(
    user="user",
    item="events.item",
    time="events.time",
    type="events.event",
    rows="events",
    behaviors=["view"],
    columns=["view"],
)
UNTIMED = ROWS.model_copy(update={"time": None})


def grouped(met: Sequence[tuple[str, str]], sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Rows of users as lists in objects, of so many rows each; 0 is an object with none."""
    objects: list[dict[str, Any]] = []
    left = list(met)
    for size in (*sizes, *[1] * len(met)):
        user, *_ = left[0] if left else ("nobody", "")
        items = []
        while left and left[0][0] == user and len(items) < size:
            items.append({"item": left.pop(0)[1], "event": "view", "user": "another"})
        objects.append({"user": user, "events": items, "item": "none of them"})
    return objects


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@settings(max_examples=20)
@given(met=pairs, sizes=st.lists(st.integers(0, 4), max_size=5), data=st.data())
def test_a_list_in_an_object_is_its_rows(
    suffix: str, met: list[tuple[str, str]], sizes: list[int], data: st.DataObject
) -> None:
    """In the order of the file, however they are cut into lists; empty and missing lists are no rows."""
    objects = grouped(met, sizes)
    if data.draw(st.booleans()):
        objects = [
            {k: v for k, v in row.items() if v or k != "events"} | {"more": [1]} for row in objects
        ]
    with TemporaryDirectory() as folder:
        source = Path(folder) / f"log{suffix}"
        source.write_bytes(content(objects, suffix))
        assert rows_of(source, UNTIMED) == met


fractions = st.builds("{}.{:022d}5".format, st.integers(0, 10**20), st.integers(1, 10**22 - 1))
numbers = fractions | st.integers(10**16, 10**22).map(str)


@settings(max_examples=20)
@given(st.lists(st.lists(numbers, max_size=4), max_size=5))
def test_numbers_in_a_list_keep_their_digits(times: list[list[str]]) -> None:
    """Ids and times beyond what a double holds are as they were written."""
    lines = [
        '{"user": 1, "events": ['
        + ", ".join(f'{{"item": {n}, "event": "view", "time": {n}}}' for n in numbers)
        + "]}\n"
        for numbers in [["1"], *times]
    ]
    with TemporaryDirectory() as folder:
        source = Path(folder) / "log.jsonl"
        source.write_text("".join(lines))
        found = [item for _, item in rows_of(source, ROWS)]
        assert found == ["1", *(number for numbers in times for number in numbers)]


@pytest.mark.parametrize(
    ("line", "law"),
    [
        ('{"user": 1, "events": 5}', r"log\.jsonl:2: must hold a list of rows, got UBIGINT"),
        ('{"user": 1, "events": {"item": 1}}', r"log\.jsonl:2: must hold a list of rows, got OBJECT"),
        ('{"user": 1, "events": [1]}', r"log\.jsonl:2: must be a JSON object, got UBIGINT"),
        (
            '{"user": 1, "events": [{"item": 1, "event": "view"}, {"item": {"id": 1}, "event": "view"}]}',
            r"events\.item must be text or a number; row 3 has '\{\"id\":1\}'",
        ),
        (
            '{"user": [1], "events": [{"item": 1, "event": "view"}]}',
            r"user must be text or a number; row 2 has '\[1\]'",
        ),
    ],
)  # fmt: skip
def test_what_is_no_list_of_rows_is_refused(tmp_path: Path, line: str, law: str) -> None:
    """With its line, or with the number of the row among all rows."""
    source = tmp_path / "log.jsonl"
    source.write_text('{"user": 1, "events": [{"item": 1, "event": "view"}]}\n' + line + "\n")
    with pytest.raises(DataError, match=law):
        rows_of(source, UNTIMED)


def test_a_time_that_no_row_of_a_list_has_is_refused(tmp_path: Path) -> None:
    """The keys that there are are named as they would be."""
    source = tmp_path / "log.jsonl"
    source.write_text('{"user": 1, "events": [{"item": 1, "event": "view", "ts": 5}]}\n')
    with pytest.raises(DataError, match=r"'events.time', .* first has user, events, .* events\.ts"):
        rows_of(source, ROWS)


def test_rows_of_lists_stay_in_the_order_of_the_file(tmp_path: Path) -> None:
    """However many objects there are, on several threads."""
    with duckdb.connect() as database:
        event = "{'item': 'i' || (3 * n + k), 'event': 'view'}"
        rows = f"SELECT n AS user, list_transform([0, 1, 2], lambda k: {event}) AS events"
        database.execute(
            f"COPY ({rows} FROM range({MANY}) t(n)) TO '{tmp_path}/log.jsonl' (FORMAT json)"
        )
    with TemporaryDirectory() as folder, connected(Path(folder)) as database:
        Log(database, open_log([LogPart(tmp_path, UNTIMED)], database, Path(folder)))
        wrong = "user_id <> (rowid // 3)::VARCHAR OR item_id <> 'i' || rowid"
        assert database.execute("SELECT count(*) FROM rows").fetchall() == [(3 * MANY,)]
        assert database.execute(f"SELECT min(rowid) FROM rows WHERE {wrong}").fetchone() == (None,)  # noqa: S608


marked = st.text("ab\"' .", min_size=1, max_size=6).filter(lambda text: text.strip() == text)


@settings(max_examples=20)
@given(st.lists(st.tuples(marked, marked), min_size=1, max_size=6))
def test_quotes_may_be_part_of_a_name(met: list[tuple[str, str]]) -> None:
    """Where the format says so, wherever they stand: Last.fm's "Heroes"."""
    form = FORM.model_copy(update={"quotes": False, "header": ("user", "item", "event")})
    with TemporaryDirectory() as folder:
        source = Path(folder) / "log.tsv"
        source.write_text("".join(f"{user}\t{item}\tview\n" for user, item in met))
        assert rows_of(source, form) == met


def test_the_named_columns_tell_the_separator(tmp_path: Path) -> None:
    """However often another one stands in the first line."""
    form = FORM.model_copy(update={"quotes": False, "header": ("user", "item", "event")})
    (tmp_path / "log.tsv").write_text("u\tCrosby, Stills, Nash, & Young\tview\n")
    assert rows_of(tmp_path / "log.tsv", form) == [("u", "Crosby, Stills, Nash, & Young")]
