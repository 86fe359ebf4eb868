"""One small log in every form that a log may have."""

import itertools
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from tests.data.raw.logs import COMPRESS, content, tarred, write_log

USERS, ITEMS = ("Zoë", "007", "7", "José,1"), ("café", "b1", "b2", "b10", "Ñu")
START = datetime(2010, 12, 1, 8, 26)
COLUMNS = ("user", "item", "time", "event")
HEADER = f"--header={','.join(COLUMNS)}"


def log_of(num_rows: int = 160) -> list[dict[str, str]]:
    """Events in order of time, some of them of no behavior and some without a user, as text."""
    draw = random.Random(7)  # noqa: S311
    return [
        {
            "user": draw.choice([*USERS, *USERS, *USERS, "NULL"]),
            "item": draw.choice(ITEMS),
            "time": (START + timedelta(hours=7 * step)).isoformat(" "),
            "event": draw.choice(["view", "view", "buy", "logout"]),
        }
        for step in range(num_rows)
    ]


LOG = log_of()


class Form(NamedTuple):
    """A form of the log."""

    write: Callable[[Path], Path]  # writes the log into a folder; returns what --source names
    options: tuple[str, ...] = ()  # of the commands that read it


def one(name: str) -> Form:
    """A file whose form its name says."""
    return Form(lambda folder: write_log(folder / name, LOG))


def raw(name: str, content: Callable[[], bytes], *options: str) -> Form:
    """A file of some bytes."""

    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content())
        return folder / name

    return Form(write, options)


def lines(separator: str, *, header: bool) -> bytes:
    rows = [list(COLUMNS)] if header else []
    rows += [[row[name] for name in COLUMNS] for row in LOG]
    return "".join(separator.join(row) + "\n" for row in rows).encode()


def dated(form: str, *options: str) -> Form:
    """A CSV file with times in a form of `strftime`."""

    def text() -> bytes:
        shown = [{**row, "time": f"{datetime.fromisoformat(row['time']):{form}}"} for row in LOG]
        return content(shown, ".csv")

    return raw("log.csv", text, *options)


def encoded(encoding: str, *options: str) -> Form:
    return raw("log.csv", lambda: content(LOG, ".csv").decode().encode(encoding), *options)


def parts(
    pattern: str, names: Sequence[str], rows_of: Callable[[int], list[dict[str, Any]]]
) -> Form:
    """Files in a folder, with what other programs leave there, and the pattern that means them."""

    def write(folder: Path) -> Path:
        for number, name in enumerate(names):
            write_log(folder / "shop" / name, rows_of(number))
        (folder / "shop" / "_SUCCESS").touch()
        (folder / "shop" / ".log.crc").touch()
        return folder / pattern

    return Form(write)


def third(number: int) -> list[dict[str, str]]:
    """A third of the rows, in order."""
    return LOG[number * 60 : (number + 1) * 60]


def of_event(number: int) -> list[dict[str, str]]:
    """The rows of one event, without its column."""
    event = ("view", "buy", "logout")[number]
    return [
        {name: row[name] for name in ("user", "item", "time")}
        for row in LOG
        if row["event"] == event
    ]


PARTS = ("part-1", "part-2", "part-10")  # in this order
FORMS: dict[str, Form] = {
    "CSV": one("log.csv"),
    "TSV": one("log.tsv"),
    "text with semicolons": one("log.txt"),
    "RecBole": one("log.inter"),
    "JSON lines": one("log.jsonl"),
    "JSON lines in .json": raw("log.json", lambda: content(LOG, ".jsonl")),
    "a JSON array": one("log.json"),
    "Parquet": one("log.parquet"),
    "gzip": one("log.csv.gz"),
    "bzip2": one("log.csv.bz2"),
    "xz": one("log.json.xz"),
    "zstandard": one("log.jsonl.zst"),
    "zip": one("log.csv.zip"),
    "tar.gz": one("log.csv.tar.gz"),
    "tgz": raw("log.tgz", lambda: COMPRESS[".gz"](tarred({"a/log.csv": content(LOG, ".csv")}))),
    "tar.bz2": one("log.csv.tar.bz2"),
    "no header": raw("log.data", lambda: lines("\t", header=False), HEADER),
    "MovieLens's": raw("log.dat", lambda: lines("::", header=False), HEADER),
    "latin-1": encoded("latin-1", "--encoding=latin-1"),
    "cp1252": encoded("cp1252", "--encoding=cp1252"),
    "UTF-16 with a mark": encoded("utf-16"),
    "slashes": dated("%Y/%m/%d %H:%M"),
    "month first": dated("%m/%d/%Y %H:%M"),
    "day first": dated("%d.%m.%Y %H:%M:%S"),
    "halves of the day": dated("%m/%d/%Y %I:%M %p"),
    "a zone after a blank": dated("%Y-%m-%d %H:%M:%S UTC"),
    "an offset after a blank": dated("%Y-%m-%d %H:%M:%S +0000"),
    "a folder": parts("shop", [f"{name}.csv" for name in PARTS], third),
    "a folder of folders": parts("shop", [f"{name}/log.jsonl" for name in PARTS], third),
    "a pattern": parts("shop/part-*.csv.gz", [f"{name}.csv.gz" for name in PARTS], third),
    "partitioned Parquet": parts(
        "shop", [f"event={e}/part-0.parquet" for e in ("view", "buy", "logout")], of_event
    ),
    "partitioned CSV": parts(
        "shop/*/*.csv", [f"event={e}/part-0.csv" for e in ("view", "buy", "logout")], of_event
    ),
}
assert len({row["time"] for row in LOG}) == len(LOG), "rows may stand in any order"
assert list(itertools.chain(*map(third, range(3)))) == LOG
