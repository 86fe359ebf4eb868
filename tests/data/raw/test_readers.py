"""Whatever is wrong with a log: one clear line, code 2, nothing written; what means the same gives the same."""

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cli.program import Ended, call
from tests.data.raw.logs import content, prepared, write_log

USERS, ITEMS = ["ann", "bob"], ["i1", "i2", "i3"]
ROWS: list[dict[str, Any]] = [
    {
        "user": user,
        "item": ITEMS[step % 3],
        "time": str(10 + step),
        "view": "1",
        "cart": str(step % 2),
        "buy": "0",
    }
    for step in range(12)
    for user in USERS
]
ROWS[5]["buy"] = "1"
COMMAND = "data prepare event-log --user user --item item --time time --behaviors view,cart,buy --name log -q"
FLOORS = ["--min-item-targets", "0", "--min-user-targets", "0"]


def run(source: Path, cwd: Path, *more: str) -> Ended:
    return call(*COMMAND.split(), "--source", str(source), *FLOORS, *more, cwd=cwd)


def refused(folder: Path, name: str, raw: bytes, law: str) -> None:
    """A file is refused: one line that names it, code 2, and the folder is as it was but for an empty data/."""
    (folder / name).write_bytes(raw)
    ended = run(folder / name, folder)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("Error: "), ended.err
    assert ended.err.count("\n") == 1
    assert ended.err.startswith(f"Error: {folder / name}:")
    assert law in ended.err, ended.err
    assert [path for path in folder.rglob("*") if path.is_file()] == [folder / name]
    assert not list(folder.glob("data/*"))


def edited(row: int, **values: Any) -> list[dict[str, Any]]:
    return [{**old, **values} if place == row else old for place, old in enumerate(ROWS)]


def line_edit(change: Callable[[bytes], bytes]) -> Callable[[int], bytes]:
    """A CSV in which one line of a row is changed."""

    def corrupt(row: int) -> bytes:
        lines = content(ROWS, ".csv").split(b"\n")
        lines[1 + row] = change(lines[1 + row])
        return b"\n".join(lines)

    return corrupt


def cell_edit(column: str, value: Any, suffix: str = ".csv") -> Callable[[int], bytes]:
    return lambda row: content(edited(row, **{column: value}), suffix)


def without(column: str, suffix: str) -> bytes:
    return content([{k: v for k, v in row.items() if k != column} for row in ROWS], suffix)


def cut(raw: bytes, row: int) -> bytes:
    """Cut somewhere before the end: the more, the smaller the row."""
    return raw[: len(raw) * (1 + row) // (2 + len(ROWS))]


def zipped(name: str) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, content(ROWS, ".csv"))
        return path.read_bytes()


def parquet(rows: list[dict[str, Any]]) -> bytes:
    with TemporaryDirectory() as folder:
        return write_log(Path(folder) / "log.parquet", rows).read_bytes()


CSV, JSON = content(ROWS, ".csv"), content(ROWS, ".jsonl")
BROKEN: dict[str, tuple[str, Callable[[int], bytes], str]] = {
    "an opened quote": (".csv", line_edit(lambda line: b'"' + line), "quote"),
    "a quote inside quotes": (".csv", line_edit(lambda line: b'"a"' + line), "quote"),
    "a column too few": (".csv", line_edit(lambda line: line.rpartition(b",")[0]), "must hold 6 columns, got 5"),
    "a column too many": (".csv", line_edit(lambda line: line + b",1"), "must hold 6 columns, got 7"),
    "another line end": (".csv", line_edit(lambda line: line + b"\r"), "lines must all end the same way"),
    "no UTF-8": (".csv", line_edit(lambda line: b"\xff" + line), "must be UTF-8 text"),
    "a NUL byte": (".csv", line_edit(lambda line: b"\0" + line), "user must be text without control characters"),
    "a C1 character": (".csv", cell_edit("user", "a\x9b31m"), "user must be text without control characters"),
    "text turned around": (".csv", cell_edit("item", "a\u202eb"), "item must be text without control characters"),
    "an endless id": (".csv", cell_edit("item", "i" * 70_000), "item must be at most 65,536 characters long"),
    "an endless name of a column": (".csv", lambda _: b"u" * 140_000 + b"," + CSV, "1: must be a header (field larger"),
    "an endless header": (".csv", lambda _: b"u," * 2**20 + CSV, "1: is longer than 2 MiB"),
    "no end of columns": (".csv", lambda _: b"u," * 9_999 + without("cart", ".csv"), "u, u, u..."),
    "a NaN for an id": (".csv", cell_edit("item", "NaN"), "item must be text without control characters, and not NaN"),
    "a NaN for a behavior": (".csv", cell_edit("cart", "NaN"), "cart must be 1, 0, true, false or nothing; row"),
    "a count for a behavior": (".csv", cell_edit("buy", "2"), "buy must be 1, 0, true, false or nothing; row"),
    "a word for a time": (".csv", cell_edit("time", "noon"), "time must be a number in every row, or an ISO date"),
    "a time beyond numbers": (".csv", cell_edit("time", "1e99999"), "time must be a number in every row"),
    "a NaN for a time": (".csv", cell_edit("time", "nan"), "time must be a number in every row"),
    "no such day": (".csv", cell_edit("time", "2026-02-30"), "time must be a number in every row"),
    "a missing column": (".csv", lambda _: without("cart", ".csv"), "must have one column 'cart'"),
    "a column twice": (".csv", lambda _: CSV.replace(b"user,item", b"user,user", 1), "must have one column"),
    "an empty file": (".csv", lambda _: b"", "must be a header, got an empty line"),
    "a header alone": (".csv", lambda _: CSV.split(b"\n")[0] + b"\n", "some row must have"),
    "a header that is no text": (".csv", lambda _: b"\xff" + CSV, "must be UTF-8 text"),
    "an endless line": (".csv", cell_edit("user", "u" * 2**22), "is longer than 2 MiB"),
    "another suffix": (".xlsx", lambda _: CSV, "must end in one of .csv, .tsv, .txt, .dat, .data, .inter, .json,"),
    "a cut gzip": (".csv.gz", lambda row: cut(gzip.compress(CSV), row), "is cut or broken"),
    "a gzip with another end": (".csv.gz", lambda _: gzip.compress(CSV)[:-8] + bytes(8), "is cut or broken"),
    "no gzip": (".csv.gz", lambda _: CSV, "is cut or broken"),
    "a cut zstd": (".csv.zst", lambda row: cut(zstd.compress(CSV), row), "is cut or broken"),
    "no zstd": (".csv.zst", lambda _: CSV, "is cut or broken"),
    "a cut zip": (".zip", lambda row: cut(zipped("log.csv"), row), "is cut or broken"),
    "a zip that leads out": (".zip", lambda _: zipped("../log.csv"), "must hold files inside itself only"),
    "a zip with a root": (".zip", lambda _: zipped("/etc/log.csv"), "must hold files inside itself only"),
    "a zip of another system": (".zip", lambda _: zipped("..\\log.csv"), "must hold files inside itself only"),
    "a zip with a drive": (".zip", lambda _: zipped("C:/log.csv"), "must hold files inside itself only"),
    "a zip of a dot": (".zip", lambda _: zipped("."), "must hold files inside itself only"),
    "a zip of dots": (".zip", lambda _: zipped("./."), "must hold files inside itself only"),
    "deep JSON": (".jsonl", lambda _: b'{"user": ' + b"[" * 100_000 + b"\n" + JSON, "1: must be a JSON object"),
    "deep JSON later": (".jsonl", lambda _: JSON + b'{"user": ' + b"[" * 100_000 + b"\n", "must be JSON"),
    "a cut object": (".jsonl", lambda row: JSON[: JSON.rindex(b"}", 0, len(JSON) // (1 + row) - 1)], "must be"),
    "a list": (".jsonl", lambda _: b"[1]\n" + JSON, "must be a JSON object"),
    "a list later": (".jsonl", lambda _: JSON + b"[1]\n", "must be a JSON object, got ARRAY"),
    "a key twice": (".jsonl", lambda _: JSON + b'{"user": "a", "user": "b"}\n', "must have each key once, got user"),
    "a key that no object has": (".jsonl", lambda _: without("buy", ".jsonl"), "some row must have"),
    "a NaN in JSON": (".jsonl", cell_edit("item", float("nan"), ".jsonl"), "not NaN"),
    "a NUL in JSON": (".jsonl", cell_edit("user", "a\0", ".jsonl"), "user must be text without control characters"),
    "a cut Parquet": (".parquet", lambda row: cut(parquet(ROWS), row), "is no whole Parquet file"),
    "no Parquet": (".parquet", lambda _: CSV, "is no whole Parquet file"),
    "a missing Parquet column": (
        ".parquet",
        lambda _: parquet([{k: v for k, v in row.items() if k != "item"} for row in ROWS]),
        "must have one column 'item'",
    ),
    "a NaN in Parquet": (
        ".parquet",
        lambda row: parquet([{**r, "cart": float("nan") if n == row else 0.0} for n, r in enumerate(ROWS)]),
        "cart must be 1, 0, true, false or nothing",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
@settings(max_examples=3)
@given(row=st.integers(0, len(ROWS) - 1))
def test_what_is_wrong_is_refused(kind: str, row: int) -> None:
    """In any row: one line with the file, the law and the fact; exit code 2; nothing is written, not even a study."""
    suffix, corrupt, law = BROKEN[kind]
    with TemporaryDirectory() as folder:
        refused(Path(folder), f"shop{suffix}", corrupt(row), law)


SAME: dict[str, Callable[[st.DataObject], tuple[str, bytes]]] = {
    "a byte order mark": lambda _: (".csv", b"\xef\xbb\xbf" + CSV),
    "CRLF": lambda _: (".csv", CSV.replace(b"\n", b"\r\n")),
    "no last line end": lambda _: (".csv", CSV.rstrip(b"\n")),
    "quotes": lambda _: (".csv", CSV.replace(b"ann", b'"ann"')),
    "semicolons": lambda _: (".csv", CSV.replace(b",", b";")),
    "tabs": lambda _: (".tsv", CSV.replace(b",", b"\t")),
    "columns in another order": lambda data: (
        ".csv",
        content([dict(data.draw(st.just(sorted(row.items())))) for row in ROWS], ".csv"),
    ),
    "rows in another order": lambda data: (
        ".csv",
        content(data.draw(st.permutations(ROWS)), ".csv"),
    ),
    "more columns": lambda _: (".csv", content([{"x": "1,2", **row} for row in ROWS], ".csv")),
    "JSON": lambda _: (".jsonl", JSON),
    "JSON with CRLF": lambda _: (".ndjson", JSON.replace(b"\n", b"\r\n")),
    "numbers and booleans in JSON": lambda _: (
        ".jsonl",
        content(
            [{**r, "time": int(r["time"]), "buy": r["buy"] == "1", "view": 1} for r in ROWS],
            ".jsonl",
        ),
    ),
    "Parquet": lambda _: (".parquet", parquet(ROWS)),
    "types in Parquet": lambda _: (
        ".parquet",
        parquet(
            [
                {**r, "time": float(r["time"]), "buy": r["buy"] == "1", "cart": float(r["cart"])}
                for r in ROWS
            ]
        ),
    ),
    "dates": lambda _: (
        ".csv",
        content([{**r, "time": f"2026-03-{r['time']}T08:00:00Z"} for r in ROWS], ".csv"),
    ),
    "dates of a zone": lambda _: (
        ".csv",
        content(
            [
                {**r, "time": f"2026-03-{r['time']} {8 + n % 9}:00:00+0{n % 9}:00"}
                for n, r in enumerate(ROWS)
            ],
            ".csv",
        ),
    ),
    "gzip": lambda _: (".csv.gz", gzip.compress(CSV)),
    "zstd": lambda _: (".csv.zst", zstd.compress(CSV)),
    "zip": lambda _: (".zip", zipped("folder/shop.csv")),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files that the plain CSV gives."""
    folder = tmp_path_factory.mktemp("plain")
    prepared(write_log(folder / "shop.csv", ROWS), folder / "log")
    return files(folder / "log")


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name != "preparation.json"
    }


@pytest.mark.parametrize("kind", SAME)
@settings(max_examples=2)
@given(data=st.data())
def test_what_means_the_same_gives_the_same_bytes(
    kind: str, plain: dict[str, bytes], data: st.DataObject
) -> None:
    """Form, compression, line ends, and the order of columns and of timed rows are of no account."""
    suffix, raw = SAME[kind](data)
    with TemporaryDirectory() as folder:
        source = Path(folder) / f"shop{suffix}"
        source.write_bytes(raw)
        prepared(source, Path(folder) / "log")
        assert files(Path(folder) / "log") == plain


def test_huge_numbers_are_ids_where_ids_are_text(tmp_path: Path) -> None:
    """An id of any length is kept as it is; where ids must be whole numbers, one beyond 64 bits is refused."""
    huge = "9" * 40
    rows = [{**row, "user": huge if row["user"] == "ann" else "0" + huge} for row in ROWS]
    source = write_log(tmp_path / "shop.csv", rows)
    prepared(source, tmp_path / "log")
    assert (tmp_path / "log" / "users.csv").read_text() == f"number,user\n1,0{huge}\n2,{huge}\n"
    rows = [
        {
            "user_id": "9" * 19,
            "item_id": "1",
            "click": "1",
            "like": "1",
            "share": "0",
            "follow": "0",
        }
    ]
    write_log(tmp_path / "QK-video.csv", rows)
    ended = call("data", "prepare", "qk-video", "--source", "QK-video.csv", "-q", cwd=tmp_path)
    assert ended.code == 2
    law = "user_id must be a whole number from 0 to 9223372036854775807; row 1 has '9999999999999999999'."
    assert ended.err == f"Error: {tmp_path.joinpath('QK-video.csv').name}: {law}\n"


@pytest.mark.parametrize("name", ["it's a [shop] log?.csv", "shop *.jsonl", "[a].parquet"])
def test_any_name_of_a_file_will_do(tmp_path: Path, name: str, plain: dict[str, bytes]) -> None:
    """A name means that file and no other."""
    prepared(write_log(tmp_path / name, ROWS), tmp_path / "log")
    assert files(tmp_path / "log") == plain


def test_a_misspelled_behavior_gets_a_guess(tmp_path: Path) -> None:
    """A behavior that no event has is refused, with the types that the log does have."""
    rows = [
        {"user": "a", "item": "b", "time": "1", "event": event}
        for event in ("page_view", "buy", "cart", "buy")
    ]
    write_log(tmp_path / "shop.jsonl", rows)
    ended = run(tmp_path / "shop.jsonl", tmp_path, "--type", "event", "--behaviors", "pageview,buy")
    assert ended.code == 2
    assert "some row must have event 'pageview'" in ended.err
    assert "other values of event: cart, page_view. Did you mean page_view?" in ended.err


def test_json_of_the_tests_is_json() -> None:
    """The lines that the readers are tried on are what another parser reads too."""
    assert [json.loads(line) for line in JSON.splitlines()] == ROWS
    assert duckdb.__version__
