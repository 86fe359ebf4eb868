"""Files and archives as owners of logs pack them, and what happened in a made-up log."""

import gzip
import json
import random
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.data.raw.logs import COMPRESS, tarred
from tests.data.raw.slow_twin import Row

START = 1_400_000_000  # seconds since 1970
Written = tuple[Path, list[Row]]  # what --source names, and the rows in the order of the files


def met(num: int, *, once: bool = False) -> Iterator[tuple[int, int, int, random.Random]]:
    """User, item and seconds of events in order of time, some at one time, and a draw of what else there is."""
    draw, seen = random.Random(11), set()  # noqa: S311
    for step in range(num):
        user, item = draw.randrange(1, 25), draw.randrange(100, 130)
        if once and (user, item) in seen:
            continue
        seen.add((user, item))
        yield user, item, START + step // 3 * 977, draw


def zipped(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def tar_gz(path: Path, files: dict[str, str]) -> Path:
    path.write_bytes(COMPRESS[".gz"](tarred({name: text.encode() for name, text in files.items()})))
    return path


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def lines(rows: Sequence[Sequence[Any]], separator: str = ",", header: str = "") -> str:
    text = "".join(separator.join(map(str, row)) + "\n" for row in rows)
    return f"{header}\n{text}" if header else text


def json_lines(rows: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)
