"""A first look at a log: what it guesses, and that the command that it prints does what flags by hand do."""

import gzip
import json
import random
import shlex
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blade_tune.data.raw.look import advice, peek
from blade_tune.data.raw.look.look import look
from blade_tune.data.raw.mapping import MappingFile
from blade_tune.data.raw.prepare import Preparation, prepare
from blade_tune.data.sources.split_files import FILES, IDS
from blade_tune.errors import DataError
from tests.cli.program import call, do
from tests.data.raw.conventions import LOOK_ALIKES
from tests.data.raw.logs import ALL, SUFFIXES, content, read_prepared, write_log
from tests.data.raw.many_forms import FORMS
from tests.data.raw.test_many_forms import FLOORS, prepared_by_hand

NO_FLOORS = ["--min-item-targets", "0", "--min-user-targets", "0"]


def advised(folder: Path, *sources: str, **more: Any) -> list[str]:
    """The words behind the program's name of the command that a look prints in its last line."""
    ended = call("data", "look", *sources, cwd=folder, **more)
    assert ended.code == 0, ended.err
    program, *words = shlex.split(ended.out.splitlines()[-1])
    assert program == "blade-tune"
    return words


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_public_logs_are_known_by_their_columns(tmp_path: Path, name: str) -> None:
    """Names in every convention, or values where there is no header; what is not sure is said."""
    alike = LOOK_ALIKES[name]
    (tmp_path / alike.name).write_bytes(alike.content)
    seen = look([tmp_path / alike.name])
    assert seen.log == {"source": str(tmp_path / alike.name), **alike.log}
    assert seen.facts.refusal is None
    for words in alike.words:
        assert any(words in doubt for doubt in seen.doubts), (words, seen.doubts)


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_public_logs_are_prepared_by_what_a_look_writes(tmp_path: Path, name: str) -> None:
    """The mapping file of --write is taken as it is, and says what the printed flags say."""
    alike = LOOK_ALIKES[name]
    (tmp_path / alike.name).write_bytes(alike.content)
    words = advised(tmp_path, alike.name, "--write", "log.yaml")
    assert words[-2:] == ["--source", "log.yaml"]
    assert call(*words, *NO_FLOORS, "-q", "--out", "a", cwd=tmp_path).code == 0
    words = advised(tmp_path, alike.name)
    if "--rating" in words and "--rating" not in do(tmp_path, "data prepare event-log --help").out:
        pytest.skip("this version has no --rating")
    ended = call(*words, *NO_FLOORS, "-q", "--out", "b", cwd=tmp_path)
    assert ended.code == 0, ended.err
    for file in (*FILES.values(), *IDS.values()):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("name", FORMS)
def test_the_command_reads_every_form(tmp_path: Path, name: str) -> None:
    """Run as printed, it makes the slow recipe's split: header, encoding, order of dates and partitions are found."""
    source = FORMS[name].write(tmp_path)
    words = advised(tmp_path, str(source))
    ended = call(*words, *FLOORS, "-q", "-f", "json", cwd=tmp_path)
    assert ended.code == 0, ended.err
    folder = tmp_path / json.loads(ended.out)["folder"]
    facts = json.loads((folder / "preparation.json").read_text())
    assert facts["auxiliary"] == "view"
    assert read_prepared(folder, facts["log"]["behaviors"]) == prepared_by_hand()


KINDS = {
    "flags": "--behaviors click=is_click,like=is_like,share=is_share --auxiliary click",
    "events": "--type action --behaviors click,like,share --auxiliary click",
    "every row": "--behaviors click=*",
}


@pytest.mark.parametrize(("suffix", "kind"), list(zip(SUFFIXES, cycle(KINDS), strict=False)))
def test_the_command_does_what_flags_by_hand_do(tmp_path: Path, suffix: str, kind: str) -> None:
    """The same bytes for made-up logs with a column or a row a behavior, or one behavior."""
    draw = random.Random(f"{kind} {suffix}")  # noqa: S311
    rows = []
    for at in range(200):
        row = {"uid": f"u{draw.randrange(6)}", "video_id": f"{draw.randrange(20):05}"}
        if kind == "flags":
            row |= {f"is_{n}": str(draw.randrange(2)) for n in ("click", "like", "share")}
        if kind == "events":
            row["action"] = draw.choice(
                ["click", "click", "click", "like", "like", "share", "logout"]
            )
        rows.append({**row, "time_ms": str(1_600_000_000_000 + at // 2)})
    if kind == "flags":
        rows = [{**row, "is_click": "1"} if at % 2 else row for at, row in enumerate(rows)]
    name = write_log(tmp_path / f"clicks{suffix}", rows).name
    by_hand = f"data prepare event-log --source {name} --user uid --item video_id --time time_ms {KINDS[kind]}"
    assert call(*by_hand.split(), *NO_FLOORS, "-q", "--out", "a", cwd=tmp_path).code == 0
    ended = call(*advised(tmp_path, name), *NO_FLOORS, "-q", "--out", "b", cwd=tmp_path)
    assert ended.code == 0, ended.err
    parts = [
        read_prepared(
            tmp_path / out,
            json.loads((tmp_path / out / "preparation.json").read_text())["log"]["behaviors"],
        )
        for out in "ab"
    ]
    assert parts[0] == parts[1]


def test_files_that_do_not_go_together(tmp_path: Path) -> None:
    """Times in two units would sort wrongly without a word from `data prepare`, and other users share nothing."""
    for name, unit, user in (("a.csv", 1, "u"), ("b.csv", 1000, "v")):
        rows = [
            {"user": f"{user}{n % 5}", "item": f"i{n % 9}", "ts": str((1_600_000_000 + n) * unit)}
            for n in range(90)
        ]
        write_log(tmp_path / name, rows)
    doubts = look([tmp_path / "a.csv", tmp_path / "b.csv"]).doubts
    assert any("a.csv seconds" in doubt and "b.csv milliseconds" in doubt for doubt in doubts)
    assert any("are these the same ids?" in doubt for doubt in doubts)


def test_sessions_are_proposed_where_they_make_sets(tmp_path: Path) -> None:
    """Where events of a visit have times of their own; where behaviors share times, no session is needed."""
    rows = []
    for n in range(120):
        for k, event in enumerate(("view", "cart")[: 1 + n % 2]):
            row = {"user": f"u{n % 7}", "item": f"i{n % 11}", "ts": str(1_600_000_000 + 9 * n + k)}
            rows.append({**row, "event": event, "visit": f"v{n}"})
    write_log(tmp_path / "apart.csv", rows)
    write_log(tmp_path / "together.csv", [{**row, "ts": f"{row['ts'][:-1]}0"} for row in rows])
    apart, together = look([tmp_path / "apart.csv"]), look([tmp_path / "together.csv"])
    assert (apart.log.get("session"), together.log.get("session")) == ("visit", None)
    assert apart.facts.sets_by_time == 0
    assert apart.facts.sets_by_session == pytest.approx(0.5)
    assert together.facts.sets_by_time > 0.3


def test_what_is_wrong_with_rows_is_said(tmp_path: Path) -> None:
    """Ids that mean nobody, repeats, ragged rows, dates in no known order; what will be refused, and why."""
    rows = [
        {
            "user": "NULL" if n % 5 == 0 else f"u{n % 3}",
            "item": f"i{n % 4}",
            "time": f"1/{1 + n % 9}/2020",
        }
        for n in range(60)
    ]
    raw = content(rows, ".csv")
    (tmp_path / "a.csv").write_bytes(raw)
    seen = look([tmp_path / "a.csv"])
    assert seen.log["date_order"] == "month"
    for words in ("NULL 20.0%", "--keep-repeats keeps them", "--date-order day is as good"):
        assert any(words in doubt for doubt in seen.doubts), seen.doubts
    (tmp_path / "b.csv").write_bytes(raw + b"u1,i1\n")
    assert any(
        "1 rows have more or fewer values" in doubt for doubt in look([tmp_path / "b.csv"]).doubts
    )
    (tmp_path / "c.csv").write_bytes(raw.replace(b"u1", b"u\x071"))
    assert any(
        "`data prepare` will refuse this" in doubt and "without control characters" in doubt
        for doubt in look([tmp_path / "c.csv"]).doubts
    )


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".jsonl", ".tar.gz"])
def test_only_the_head_of_a_large_file_is_read(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of 14 GiB, most of which is not there, and one that is cut: the rows that were looked at are counted."""
    monkeypatch.setattr(peek, "BYTES", 2**18)
    form = ".jsonl" if suffix == ".jsonl" else ".csv"
    rows = [
        {"user": f"u{n % 99}", "item": f"i{n % 77}", "ts": str(1_600_000_000 + n)}
        for n in range(30_000)
    ]
    raw = content(rows, form)
    path = tmp_path / f"views{suffix}"
    if suffix == ".csv.gz":
        path.write_bytes(gzip.compress(raw)[:-1000])
    elif suffix == ".tar.gz":
        write_log(tmp_path / "views.csv.tar.gz", rows).rename(path)
    else:
        with path.open("wb") as file:
            file.write(raw)
            file.truncate(14 * 2**30)
    (found,) = look([path]).guesses
    assert 1_000 < found.peek.num_rows < 30_000
    assert not found.peek.is_whole


cells = st.one_of(
    st.sampled_from(
        ["", "NULL", "1", "0", "u1", "view", "buy", "2020-01-01", "1/2/2020", "1600000000", "4.5"]
    ),
    st.text(max_size=6),
    st.integers(-9, 10**20).map(str),
    st.floats().map(str),
)
names = st.one_of(
    st.sampled_from(
        [
            "user",
            "userId",
            "item",
            "asin",
            "ts",
            "date",
            "event",
            "rating",
            "is_like",
            "session",
            "hours",
        ]
    ),
    st.text(min_size=1, max_size=5),
)


@settings(max_examples=25)
@given(st.data())
def test_no_table_makes_it_fail(data: st.DataObject) -> None:
    """Any small table in any form: a page with a command or a mapping, or one line that refuses it."""
    header = data.draw(st.lists(names, min_size=1, max_size=6, unique=True))
    row = st.lists(cells, min_size=len(header), max_size=len(header))
    rows = [
        dict(zip(header, one, strict=True))
        for one in data.draw(st.lists(row, min_size=1, max_size=12))
    ]
    suffix = data.draw(
        st.sampled_from([".csv", ".tsv", ".txt", ".inter", ".jsonl", ".json", ".csv.gz"])
    )
    with TemporaryDirectory() as name:
        path = Path(name) / f"log{suffix}"
        try:
            write_log(path, rows)
        except UnicodeEncodeError:
            return
        check_look(path)


@settings(max_examples=60)
@given(
    st.binary(max_size=200),
    st.sampled_from([".csv", ".dat", ".json", ".jsonl", ".inter", ".parquet", ".gz", ".zip"]),
)
def test_no_bytes_make_it_fail(raw: bytes, suffix: str) -> None:
    """Nor do bytes that are no log."""
    with TemporaryDirectory() as name:
        path = Path(name) / f"log{suffix}"
        path.write_bytes(raw)
        check_look(path)


def check_look(path: Path) -> None:
    """A look ends in advice that can be parsed, or in a DataError of one line."""
    try:
        seen = look([path])
    except DataError as error:
        line = str(error)
        assert "\n" not in line
        return
    words = advice.command_of(seen.log)
    text = advice.mapping_text(seen.log, path.parent, seen.doubts)
    if words is not None:
        assert shlex.split(advice.line_of(words)) == words
    (path.parent / "log.yaml").write_text(text, encoding="utf-8")
    if not seen.facts.refusal:
        MappingFile.read(path.parent / "log.yaml")


def test_half_characters_of_json_are_no_trouble(tmp_path: Path) -> None:
    """A key or a value that no encoding can write is shown as such."""
    path = tmp_path / "log.jsonl"
    path.write_text('{"user": "\\ud800x", "item": "\\ud83d\\ude00", "\\udc00": "\\uD800"}\n' * 9)
    assert look([path]).guesses[0].columns[1].counts == {"\U0001f600": 9}
    check_look(path)


def test_parquet_with_columns_that_no_log_has(tmp_path: Path) -> None:
    """Lists, structs and timestamps of Parquet: what is read is used, and the others are named."""
    path = tmp_path / "log.parquet"
    columns = (
        "'u' || n % 5 AS user_id, n % 9 AS item_id, [n] AS tags, {'a': n} AS more, "
        "to_timestamp(1600000000 + n) AS created_at"
    )
    duckdb.sql(f"SELECT {columns} FROM range(90) AS t(n)").write_parquet(str(path))  # noqa: S608
    seen = look([path])
    assert (seen.log["user"], seen.log["item"], seen.log["time"]) == (
        "user_id",
        "item_id",
        "created_at",
    )
    assert any("more, tags: objects" in doubt for doubt in seen.doubts)
    source = tmp_path / "log.yaml"
    source.write_text(advice.mapping_text(seen.log, tmp_path, ()))
    parts = MappingFile.read(source).parts()
    assert (
        prepare(Preparation("log", parts, None, ALL, "none"), tmp_path / "out", lambda *_: None)[
            "rows"
        ]
        == 90
    )
