"""What of a log's form cannot be read, or cannot be meant: one line that names the place and the way out, code 2."""

import io
import json
import tarfile
from pathlib import Path

import duckdb
import pytest

from blade_tune.config import read_yaml
from blade_tune.data.raw import unpack
from blade_tune.data.raw.settings import Recipe
from blade_tune.errors import DataError
from tests.cli.program import call
from tests.data.raw.logs import COMPRESS, content, prepared, read_prepared, tarred, write_log
from tests.data.raw.slow_twin import expected_split

ROWS = [
    {
        "user": f"u{n % 2}",
        "item": f"i{n % 3}",
        "time": f"2026-03-0{1 + n % 9}",
        "event": "view" if n % 3 else "buy",
    }
    for n in range(30)
]
CSV = content(ROWS, ".csv")
BARE = CSV.partition(b"\n")[2]
COMMAND = "data prepare event-log --user user --item item --time time --type event --behaviors view,buy --name log -q"


def tar_of(kind: bytes, name: str = "log.csv") -> bytes:
    """A tar archive of one member that is no plain file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    return packed.getvalue()


def dates(*shown: str) -> bytes:
    return content([{**row, "time": shown[n % len(shown)]} for n, row in enumerate(ROWS)], ".csv")


# The name of the file, its content, more options -> what the error says
REFUSED: dict[str, tuple[str, bytes, list[str], str]] = {
    "no way to tell days from months": (
        "a.csv",
        dates("12/1/2010 8:26", "1/2/2010 8:26"),
        [],
        "--date-order day or month must say it; row 1 has",
    ),
    "both orders": (
        "a.csv",
        dates("1/2/2010", "13/1/2010", "1/13/2010"),
        [],
        "in one order, which other rows have the other way round; row 3 has '1/13/2010'",
    ),
    "an order against the column": (
        "a.csv",
        dates("13/1/2010", "1/31/2011"),
        ["--date-order", "day"],
        "other rows have the other way round",
    ),
    "a year of two digits": (
        "a.csv",
        dates("1/2/10"),
        [],
        "or an ISO date or one such as 12/31/2010 8:26 in every row",
    ),
    "no such order": ("a.csv", CSV, ["--date-order", "year"], "date_order must be"),
    "no such encoding": (
        "a.csv",
        CSV,
        ["--encoding", "klingon"],
        "encoding must be one that Python knows, such as latin-1",
    ),
    "an encoding of no text": (
        "a.csv",
        CSV,
        ["--encoding", "base64"],
        "encoding must be one that Python knows",
    ),
    "another encoding": (
        "a.csv",
        CSV.replace(b"u1", "ü".encode("latin-1")),
        [],
        "must be UTF-8 text; name another encoding with --encoding",
    ),
    "a header in another encoding": (
        "a.csv",
        "usér,item".encode("latin-1"),
        [],
        "1: must be UTF-8 text; name another encoding with --encoding",
    ),
    "no header and no --header": (
        "a.csv",
        BARE,
        [],
        "Where the first line is a row, name all columns with --header",
    ),
    "a header and --header": (
        "a.csv",
        CSV,
        ["--header", "user,item,time,event"],
        "1: is a header already; leave --header out",
    ),
    "a header too short": (
        "a.csv",
        BARE,
        ["--header", "user,item,time", "--type", "", "--behaviors", "view=*"],
        "1: must hold 3 columns, as many as --header names, got 4",
    ),
    "a header with a name twice": (
        "a.csv",
        BARE,
        ["--header", "user,item,time,time"],
        "header must differ, got time twice",
    ),
    "a misspelled session of JSON": (
        "a.jsonl",
        content(ROWS, ".jsonl"),
        ["--session", "vist"],
        "some object must have the key 'vist', and none has",
    ),
    "a misspelled time of an array": (
        "a.json",
        content(ROWS, ".json"),
        ["--time", "tme"],
        "the first has user, item, time, event. Did you mean time?",
    ),
    "a misspelled session of CSV": (
        "a.csv",
        CSV,
        ["--session", "itm"],
        "must have one column 'itm', got user, item, time, event. Did you mean item?",
    ),
    "an object over many lines": ("a.json", b'{\n "user": 1}', [], "1: must be a JSON object"),
    "a list of no objects": ("a.json", b"[1, 2]", [], "must be a JSON object, got int"),
    "an empty array": ("a.json", b"[]", [], "1: must be a JSON object (the array is empty)"),
    "a cut array": ("a.json", content(ROWS, ".json")[:-40], [], "must be JSON"),
    "text after an array": ("a.json", content(ROWS, ".json") + b"x", [], "must be JSON"),
    "a number in an array": (
        "a.json",
        content(ROWS, ".json")[:-1] + b", 3]",
        [],
        "must be a JSON object",
    ),
    "a nested user": (
        "a.jsonl",
        content([*ROWS, {**ROWS[0], "user": {"id": 1}}], ".jsonl"),
        [],
        "row 31 has '{\"id\":1}'. Write what is meant",
    ),
    "every row has a type": (
        "a.csv",
        CSV,
        ["--behaviors", "view=*,buy"],
        "* stands for every row where there is no type",
    ),
    "a tar that leads out": (
        "a.tar",
        tarred({"../log.csv": CSV}),
        [],
        "must hold files inside itself only, got '../log.csv'",
    ),
    "a link in a tar": (
        "a.tar",
        tar_of(tarfile.SYMTYPE),
        [],
        "must hold plain files only, got 'log.csv'",
    ),
    "a device in a tar": ("a.tar", tar_of(tarfile.CHRTYPE), [], "must hold plain files only"),
    "two files in a tar": (
        "a.tgz",
        COMPRESS[".gz"](tarred({"a.csv": CSV, "b.csv": CSV})),
        [],
        "holds it 2 times (a.csv, b.csv, ...); unpack it and",
    ),
    "a cut tar": (
        "a.tar.gz",
        COMPRESS[".gz"](tarred({"a.csv": CSV * 9}))[:-60],
        [],
        "is cut or broken",
    ),
    "no tar": ("a.tar", CSV, [], "is cut or broken"),
    "a cut bzip2": ("a.csv.bz2", COMPRESS[".bz2"](CSV)[:-20], [], "is cut or broken"),
    "a cut xz": ("a.csv.xz", COMPRESS[".xz"](CSV)[:-20], [], "is cut or broken"),
    "another ending": (
        "a.xlsx",
        CSV,
        [],
        "must end in one of .csv, .tsv, .txt, .dat, .data, .inter, .json,",
    ),
    "floors of 0": (
        "a.csv",
        content(ROWS[:2], ".csv"),
        [],
        "is left of 2 rows (nothing was left out).\n",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_it_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    """The line names the file or the options, what must be, what is there and what to do; nothing is written."""
    name, raw, options, law = REFUSED[kind]
    (tmp_path / name).write_bytes(raw)
    refused(tmp_path, tmp_path / name, options, law)


def refused(folder: Path, source: Path, options: list[str], law: str) -> None:
    before = sorted(path for path in folder.rglob("*") if path.is_file())
    floors = ["--min-item-targets", "0", "--min-user-targets", "0"]
    ended = call(*COMMAND.split(), *floors, "--source", str(source), *options, cwd=folder)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended.err
    assert law in ended.err, ended.err
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == before


def test_no_advice_to_lower_what_is_nothing(tmp_path: Path) -> None:
    """Only floors above 0 are named."""
    write_log(tmp_path / "log.csv", ROWS[:2])
    words = [*COMMAND.split(), "--source", "log.csv", "--min-item-targets", "0"]
    assert call(*words, cwd=tmp_path).err.endswith("; lower --min-user-targets.\n")


FOLDERS: dict[str, tuple[dict[str, bytes], str, str]] = {
    "two forms": (
        {"a.csv": CSV, "b.tsv": CSV},
        "",
        "must hold files of one form, got .csv, .tsv; name those of the log by a pattern",
    ),
    "two compressions": (
        {"a.csv": CSV, "a.csv.gz": COMPRESS[".gz"](CSV)},
        "",
        "must hold files of one form, got .csv, .csv.gz",
    ),
    "nothing": ({"_SUCCESS": b"", ".x.csv": CSV}, "", "must hold a file of a log, and holds none"),
    "no match": ({"a.csv": CSV}, "*.tsv", "must hold a file of a log, and holds none"),
    "other columns in the second": (
        {"a.csv": CSV, "b.csv": CSV.replace(b"item", b"thing", 1)},
        "",
        "b.csv: must have one column 'item'",
    ),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_folders_are_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    """What is no log of one form is not guessed at."""
    files, pattern, law = FOLDERS[kind]
    (tmp_path / "shop").mkdir()
    for name, raw in files.items():
        (tmp_path / "shop" / name).write_bytes(raw)
    refused(tmp_path, tmp_path / "shop" / pattern, [], law)


@pytest.mark.parametrize("kind", ["{'id': 1}", "['a']", "MAP {'id': 1}"])
def test_nested_columns_of_parquet_are_refused(tmp_path: Path, kind: str) -> None:
    """Their text is no id."""
    with duckdb.connect() as database:
        row = f"SELECT {kind} AS user, 'i' AS item, 1 AS time, 'view' AS event"
        database.execute(f"COPY ({row}) TO '{tmp_path}/log.parquet'")
    refused(tmp_path, tmp_path / "log.parquet", [], "user must be a plain column, got ")


@pytest.mark.parametrize("suffix", [".csv.bz2", ".csv.xz", ".tar.gz"])
def test_what_would_fill_the_disk_is_refused(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than any log packs into so few bytes, in each form of compression."""
    monkeypatch.setattr(unpack, "ALWAYS_BYTES", 2**14)
    monkeypatch.setattr(unpack, "CHUNK_BYTES", 2**12)
    raw = bytes(2**24)
    packed = COMPRESS[f".{suffix.rpartition('.')[2]}"](
        tarred({"a.csv": raw}) if ".tar" in suffix else raw
    )
    (tmp_path / f"log{suffix}").write_bytes(packed)
    with pytest.raises(DataError, match="must unpack to at most 250 times its size"):
        prepared(tmp_path / f"log{suffix}", tmp_path / "out")


# Four users buy eight items each, in orders that begin two items apart
BOUGHT = [
    {
        "user": f"u{n % 4}",
        "item": f"i{(n // 4 + 2 * (n % 4)) % 8}",
        "time": f"2026-03-01 00:00:{10 + n}",
        "event": "buy",
    }
    for n in range(32)
]
ONE = {
    "--type event --behaviors buy": BOUGHT + [{**row, "event": "view"} for row in BOUGHT],
    "--behaviors buy=*": BOUGHT,
    "--behaviors buy": [{**row, "buy": flag} for row in BOUGHT for flag in ("1.0", "0.0")],
}


@pytest.mark.parametrize("words", ONE)
def test_one_behavior_is_a_log(tmp_path: Path, words: str) -> None:
    """Named by a type, by a column, or of every row: it is a target, and the split is the slow recipe's."""
    write_log(tmp_path / "my log.csv", ONE[words])
    command = "data prepare event-log --user user --item item --time time -f json -q --source"
    floors = ["--min-item-targets", "0", "--min-user-targets", "0"]
    ended = call(*command.split(), "my log.csv", *words.split(), *floors, cwd=tmp_path)
    assert ended.code == 0, ended.err
    facts = json.loads(ended.out)
    assert (facts["folder"], facts["auxiliary"]) == ("data/my-log", None)
    recipe = Recipe(min_item_targets=0, min_user_targets=0)
    rows = [(row["user"], row["item"], row["time"], frozenset({"buy"})) for row in BOUGHT]
    expected = expected_split(rows, None, recipe, merges=True).parts
    assert read_prepared(tmp_path / "data" / "my-log", ["buy"]) == expected
    assert "auxiliary: null" in (tmp_path / "studies" / "my-log.yaml").read_text()
    stats = call("data", "stats", "--study", "my-log", "-f", "json", cwd=tmp_path)
    assert stats.code == 0, stats.err


def test_repeats_are_interactions_where_they_are_kept(tmp_path: Path) -> None:
    """Held out too, so the study ranks items of the history: the only item of a user can be hit."""
    rows = [{**row, "item": "i1" if row["user"] == "u1" else row["item"]} for row in BOUGHT]
    write_log(tmp_path / "log.csv", rows)
    words = [
        *[
            "--behaviors",
            "buy=*",
            "--keep-repeats",
            "--min-item-targets",
            "0",
            "--source",
            "log.csv",
            "-q",
        ]
    ]
    command = ["data", "prepare", "event-log", "--user", "user", "--item", "item", "--time", "time"]
    assert call(*command, *words, cwd=tmp_path).code == 0
    parts = read_prepared(tmp_path / "data" / "log", ["buy"])
    assert [row[:2] for part in parts.values() for row in part].count(("u1", "i1")) == 8
    assert read_yaml(tmp_path / "studies" / "log.yaml")["objective"] == {"exclude": "none"}
    study = ["--study", "log", "--model", "popularity"]
    assert call("run", *study, "--trials", "1", "-q", cwd=tmp_path).code == 0
    ended = call("export-best", "--study", "log-popularity", "-q", "-f", "json", cwd=tmp_path)
    assert ended.code == 0, ended.err
    metrics = json.loads((tmp_path / "results/log-popularity/best/metrics.json").read_text())
    assert metrics["unhittable"] == 0
