"""Files that were made to do harm: to fill a disk, to run in a spreadsheet, to write on a terminal."""

import gzip
import re
import zipfile
from pathlib import Path
from unicodedata import category

import duckdb
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.data.cells import cell, guarded, text_of
from blade_tune.data.config import data_config
from blade_tune.data.raw import parquet_files, unpack
from blade_tune.data.raw.load import CONTROLS
from blade_tune.data.sources.base import open_source
from blade_tune.errors import DataError
from tests.data.raw.logs import FLAGS, content, prepared, write_log

ROWS = [
    {
        "user": f"u{step % 2}",
        "item": f"i{step % 3}",
        "time": str(step),
        "view": "1",
        "cart": "1",
        "buy": "1",
    }
    for step in range(40)
]


def packed(path: Path, raw: bytes) -> Path:
    """A file of some bytes, packed as its suffix says."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("log.csv", raw)
    else:
        path.write_bytes({".gz": gzip.compress, ".zst": zstd.compress}[path.suffix](raw))
    return path


@pytest.mark.parametrize("suffix", [".csv.gz", ".csv.zst", ".zip"])
def test_a_file_that_would_fill_the_disk_is_refused(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than any log packs into so few bytes: one line, nothing left; a log of that size is read."""
    monkeypatch.setattr(unpack, "ALWAYS_BYTES", 2**14)
    monkeypatch.setattr(unpack, "CHUNK_BYTES", 2**12)
    with pytest.raises(
        DataError, match=r"must unpack to at most 250 times its size or 16,384 bytes, and is more"
    ):
        prepared(packed(tmp_path / f"log{suffix}", bytes(2**24)), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [f"log{suffix}"]
    rows = [{**row, "time": str(n)} for n, row in enumerate(ROWS * 100)]
    assert (
        prepared(packed(tmp_path / f"log{suffix}", content(rows, ".csv")), tmp_path / "out")["rows"]
        == 4_000
    )


def test_a_parquet_file_of_too_many_rows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal rows take no room in it, and much in a database."""
    source = write_log(tmp_path / "log.parquet", [ROWS[0]] * 100_000)
    monkeypatch.setattr(parquet_files, "MAX_ROWS", 1_000)
    monkeypatch.setattr(parquet_files, "ROWS_PER_BYTE", 10)
    with pytest.raises(
        DataError, match=r"must have at most 10 rows a byte, got 100,000 rows in [\d,]+ bytes"
    ):
        prepared(source, tmp_path / "out")


def test_control_characters_are_those_of_unicode_and_of_direction() -> None:
    """All of category Cc, line ends of Unicode, and what marks or turns a direction; no others."""
    turning = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029"
    known = {chr(code) for code in range(0x110000) if category(chr(code)) == "Cc"} | set(turning)
    characters = [chr(code) for code in range(1, 0x3000)]
    with duckdb.connect() as database:
        sql = f"SELECT c FROM (SELECT unnest(?) AS c) WHERE regexp_matches(c, '{CONTROLS}')"
        assert {c for (c,) in database.execute(sql, [characters]).fetchall()} == known - {"\0"}


@given(st.text(st.sampled_from("=+-@'\t\r\nab1. (,\xe9!\uff1d\uff20"), max_size=6))
def test_cells_stand_for_their_text(text: str) -> None:
    """No cell is a formula, unless it is a word or number; without the guard it is the text, in the database too."""
    assert text_of(cell(text)) == text
    assert not re.match("[=\t\r\n\uff1d]|[-+@\uff0b\uff0d\uff20].*[^\\w.-]", cell(text), re.DOTALL)
    with duckdb.connect() as database:
        assert database.execute(
            f"SELECT {guarded('x')} FROM (SELECT ? AS x)", [text]
        ).fetchall() == [(cell(text),)]


@pytest.mark.parametrize("value", [None, 3, -1.5, "plain", "-5", "+4912", "@name", "a=b", "-"])
def test_other_values_are_left_alone(value: object) -> None:
    """Numbers, words, and what has such characters later."""
    assert cell(value) == value


def test_ids_are_no_formulas_in_files_and_themselves_in_bundles(tmp_path: Path) -> None:
    """`users.csv` holds them guarded; who reads it through the data has the ids of the log."""
    ids = ['=HYPERLINK("http://x","y")', "'=1", "@SUM(1)", "-2+3", "plain", "'", "+49 1"]
    rows = [
        {**row, "user": name, "item": f"i{(n + k) % 12}"}
        for k, name in enumerate(ids)
        for n, row in enumerate(ROWS)
    ]
    facts = prepared(write_log(tmp_path / "log.csv", rows), tmp_path / "out")
    assert facts["users"] == len(ids)
    lines = (tmp_path / "out" / "users.csv").read_text().splitlines()[1:]
    assert not [line for line in lines if re.match(r'\d+,"?([=]|[-+@].*[ (+])', line)]
    section = {
        "source": "split_files",
        "name": "log",
        "behaviors": FLAGS.behaviors,
        "auxiliary": "view",
    }
    assert sorted(
        open_source(data_config(section, ""), tmp_path / "out").original_ids()["user"]
    ) == sorted(ids)
