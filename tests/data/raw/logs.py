"""Logs as tests write them, and prepared folders as tests read them."""

import bz2
import csv
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
from backports import zstd

from blade_tune.data.raw.forms import LogPart
from blade_tune.data.raw.prepare import Preparation, prepare
from blade_tune.data.raw.settings import LogFormat, Recipe
from blade_tune.data.sources.split_files import FILES, IDS

Rows = Sequence[Mapping[str, Any]]
FLAGS = LogFormat(
    user="user",
    item="item",
    time="time",
    behaviors=("view", "cart", "buy"),
    columns=("view", "cart", "buy"),
)
EVENTS = FLAGS.model_copy(update={"type": "event"})
ALL = Recipe(min_item_targets=0, min_user_targets=0)
SUFFIXES = (
    *(".csv", ".tsv", ".txt", ".inter", ".jsonl", ".json", ".parquet", ".csv.gz", ".jsonl.zst"),
    *(".csv.bz2", ".json.xz", ".csv.zip", ".csv.tar.gz", ".jsonl.tar.zst", ".csv.tar"),
)
COMPRESS = {
    ".gz": gzip.compress,
    ".zst": zstd.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


def content(rows: Rows, suffix: str) -> bytes:
    """Rows of text as a file of a form; None is nothing there."""
    names = list(rows[0])
    separators = {".csv": ",", ".tsv": "\t", ".txt": ";", ".inter": "\t"}
    if suffix in separators:
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=separators[suffix], lineterminator="\n")
        writer.writerow([f"{name}:token" for name in names] if suffix == ".inter" else names)
        writer.writerows(
            [["" if row[name] is None else row[name] for name in names] for row in rows]
        )
        return text.getvalue().encode()
    objects = [{k: v for k, v in row.items() if v is not None} for row in rows]
    if suffix == ".json":
        return json.dumps(objects, indent=1).encode()
    assert suffix == ".jsonl"
    return "".join(json.dumps(row) + "\n" for row in objects).encode()


def write_log(path: Path, rows: Rows) -> Path:
    """Write rows in the form of the path's suffix, compressed where it says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    form = "".join(path.suffixes[:1])
    if form == ".parquet":
        table = ", ".join(f'unnest(?) AS "{name}"' for name in rows[0])
        columns = [[row[name] for row in rows] for name in rows[0]]
        with duckdb.connect() as database:
            database.execute(f"CREATE TABLE log AS SELECT {table}", columns)
            database.execute(f"COPY log TO '{path}' (FORMAT parquet)")
        return path
    raw = content(rows, form)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"folder/{path.stem}", raw)
    elif ".tar" in path.suffixes:
        path.write_bytes(COMPRESS.get(path.suffix, bytes)(tarred({f"folder/log{form}": raw})))
    else:
        path.write_bytes(COMPRESS.get(path.suffix, bytes)(raw))
    return path


def tarred(files: Mapping[str, bytes]) -> bytes:
    """A tar archive of some files, with what macOS puts beside them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, raw in {"folder/._log.csv": b"", **files}.items():
            member = tarfile.TarInfo(name)
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    return packed.getvalue()


def prepared(
    source: Path,
    out: Path,
    form: LogFormat = FLAGS,
    recipe: Recipe = ALL,
    auxiliary: str | Sequence[str] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Prepare a log; gives what was written down of it."""
    preparation = Preparation(
        "log",
        (LogPart(source, form),),
        auxiliary or form.behaviors[0],
        recipe,
        "none",
        **more,
    )
    return prepare(preparation, out, lambda *_: None)


def read_prepared(
    folder: Path, behaviors: Sequence[str]
) -> dict[str, list[tuple[str, str, frozenset[str]]]]:
    """The rows of each part, under the ids of the log, user after user."""
    ids = {}
    for kind, file in IDS.items():
        header, *rows = list(
            csv.reader(io.StringIO((folder / file).read_text(encoding="utf-8"), newline=""))
        )
        assert header == ["number", kind]
        assert [number for number, _ in rows] == [str(number) for number in range(1, len(rows) + 1)]
        ids[kind] = dict(rows)
    parts = {}
    for part, file in FILES.items():
        lines = [line.split(",") for line in (folder / file).read_text().splitlines()]
        parts[part] = [
            (
                ids["user"][user],
                ids["item"][item],
                frozenset(n for n, b in zip(behaviors, flags, strict=True) if b == "1"),
            )
            for user, item, *flags in lines
        ]
    return parts
