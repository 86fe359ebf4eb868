"""The split-file source: what it reads, and every way in which a file can be bad."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.data.sources.split_files import FILES, SplitFiles, parse_rows
from blade_tune.errors import DataError
from tests.data.examples import TINY, config, plain, write_split

BEHAVIORS = ("click", "like")


def parsed(raw: bytes) -> list[tuple[int, int, tuple[int, ...]]]:
    return plain(parse_rows(raw, BEHAVIORS, "train.txt"))


def test_rows_are_read_in_file_order() -> None:
    """A line is a row: user, item and one {0, 1} column a behavior."""
    assert parsed(b"7,123456789012345678,1,0\n1,2,0,1\n") == [
        (7, 123456789012345678, (1, 0)),
        (1, 2, (0, 1)),
    ]


@pytest.mark.parametrize(
    "raw", [b"1,2,0,1\n3,4,1,0", b"1,2,0,1\r\n3,4,1,0\r\n", b"1,2,0,1\r\n3,4,1,0\n\n\r\n"]
)
def test_line_ends_mean_nothing(raw: bytes) -> None:
    """LF, CRLF, none and empty lines at the end give the same rows."""
    assert parsed(raw) == [(1, 2, (0, 1)), (3, 4, (1, 0))]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"1,2,1", "must hold 4 columns (user, item, click, like), got 3."),
        (b"1,2,1,0,0", "must hold 4 columns (user, item, click, like), got 5."),
        (b"", "must hold 4 columns (user, item, click, like), got 0."),
        (b"x,2,1,0", "user must be a whole number from 1 on, got 'x'."),
        (b"1,,1,0", "item must be a whole number from 1 on, got ''."),
        (b"1,2.0,1,0", "item must be a whole number from 1 on, got '2.0'."),
        (b"0,2,1,0", "user must be a whole number from 1 on, got '0'."),
        (b"1,-2,1,0", "item must be a whole number from 1 on, got '-2'."),
        (b"1, 2,1,0", "item must be a whole number from 1 on, got ' 2'."),
        (
            b"1,1234567890123456789,1,0",
            "item must be a whole number from 1 on, got '1234567890123456789'.",
        ),
        (b"1,2,2,0", "click must be 0 or 1, got '2'."),
        (b"1,2,1,true", "like must be 0 or 1, got 'true'."),
        (b"1,2,1,0\r1,2,1,0", "must hold 4 columns (user, item, click, like), got 7."),
        (b"1,2,1,\xc3\xa9", "must be plain ASCII text, got the byte 0xc3."),
        (b"\xff\xfe1\x00,\x002\x00", "must be plain ASCII text, got the byte 0xff."),
        ("१,2,1,0".encode(), "must be plain ASCII text, got the byte 0xe0."),
    ],
)
def test_a_bad_line_is_named(line: bytes, fault: str) -> None:
    """The first bad line ends the reading with one line: file, line number, law and fact."""
    with pytest.raises(DataError) as refusal:
        parsed(b"1,2,1,0\n3,4,0,1\n" + line + b"\n5,6,1,0\nand,more\n")
    assert str(refusal.value) == f"train.txt:3: {fault}"


def reference(raw: bytes) -> list[tuple[int, int, tuple[int, ...]]] | None:
    """The slow twin: the rows of a file, None where it is malformed."""
    lines = raw.replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n")
    rows = []
    for line in lines if lines != [b""] else []:
        fields = line.split(b",")
        if len(fields) != 4 or not all(field.isdigit() and len(field) <= 18 for field in fields):
            return None
        user, item, *behaviors = map(int, fields)
        if user < 1 or item < 1 or max(behaviors) > 1:
            return None
        rows.append((user, item, tuple(behaviors)))
    return rows


LINES = st.lists(
    st.one_of(
        st.from_regex(rb"\A[0-9]{1,3},[0-9]{1,20},[01],[01]\Z"),
        st.binary(max_size=12),
        st.text("0129,-+. \r\n", max_size=12).map(str.encode),
    ),
    max_size=4,
)


@given(LINES, st.sampled_from([b"\n", b"\r\n"]))
def test_any_bytes_give_rows_or_one_line(lines: list[bytes], newline: bytes) -> None:
    """Whatever a file holds, it is read exactly as line by line, or refused in one line that names a line."""
    raw = newline.join(lines)
    expected = reference(raw)
    if expected is not None:
        assert parsed(raw) == expected
        return
    with pytest.raises(DataError, match=r"\Atrain\.txt:[1-9][0-9]*: [^\n\r]+\Z"):
        parsed(raw)


@pytest.mark.parametrize(("part", "line"), [("valid", "3,20,1,0,0,0"), ("test", "3,40,1,0,0,0")])
def test_a_user_has_one_row_to_predict(tmp_path: Path, part: str, line: str) -> None:
    """A second valid or test row of a user is refused; rows without a behavior are no rows."""
    lines = ["3,20,0,0,0,0", *TINY[part], line]
    source = SplitFiles(config(), write_split(tmp_path, **{part: lines}))
    with pytest.raises(DataError) as refusal:
        source.search() if part == "valid" else source.sealed()
    assert str(refusal.value) == (
        f"{tmp_path / FILES[part]}:{len(lines)}: a user must have at most one row, got another one of user 3 "
        "(the first is in line 2)."
    )


def test_the_folder_may_be_named_like_the_data_set(tmp_path: Path) -> None:
    """DIR and DIR/<name> are both looked at, and give the same key."""
    write_split(tmp_path / "tiny")
    keys = {
        SplitFiles(config(), directory).search_key() for directory in (tmp_path, tmp_path / "tiny")
    }
    assert len(keys) == 1


OWN = (
    "data prepare event-log",
    "--behaviors click,like,share,follow --auxiliary click --name tiny",
)
OWNERS = ("EIDP (KDD'24)", "Tenrec", "KuaiSAR", "data get kuaisar", "data prepare kuaisar --source")


@pytest.mark.parametrize(("name", "origin"), [("tiny", OWN), ("kuaisar", OWNERS)])
@pytest.mark.parametrize("directory", [None, "nowhere", "."])
def test_missing_data_says_what_to_get(
    tmp_path: Path, directory: str | None, name: str, origin: tuple[str, ...]
) -> None:
    """No directory, none that exists, or none with the files: one line with the files, their origin and a way out."""
    place = None if directory is None else tmp_path / directory
    with pytest.raises(DataError) as refusal:
        SplitFiles(config(name=name), place).search_key()
    message = str(refusal.value)
    assert "\n" not in message
    for word in (
        *FILES.values(),
        *origin,
        "--data DIR",
        "BLADE_TUNE_DATA",
        "--study demo",
    ):
        assert word in message


def test_missing_data_of_several_auxiliary_behaviors_say_so(tmp_path: Path) -> None:
    """The named command makes the same split."""
    with pytest.raises(DataError, match=r"--behaviors \S+ --auxiliary click,like --name tiny"):
        SplitFiles(config(auxiliary=["click", "like"]), tmp_path).search_key()


def test_a_missing_or_empty_file_is_named(tmp_path: Path) -> None:
    """Valid may neither be missing nor empty; between may be empty."""
    source = SplitFiles(config(), write_split(tmp_path, valid=[], between=[]))
    with pytest.raises(
        DataError, match=r"valid\.txt:1: must hold at least one row, got an empty file\.$"
    ):
        source.search()
    assert [len(rows) for rows in source.sealed()] == [0, 1]
    (tmp_path / FILES["valid"]).unlink()
    with pytest.raises(
        DataError, match=r"valid\.txt: is missing; prepare the log \(`blade-tune data prepare"
    ):
        source.search()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A folder in place of a file is an error of the data, not a crash."""
    write_split(tmp_path)
    (tmp_path / FILES["valid"]).unlink()
    (tmp_path / FILES["valid"]).mkdir()
    with pytest.raises(DataError, match=r"valid\.txt: cannot be read \(Is a directory\)\.$"):
        SplitFiles(config(), tmp_path).search_key()


def test_keys_cover_what_shapes_their_parts(tmp_path: Path) -> None:
    """A key moves with its own files and the meaning of the columns, and with nothing else."""
    source = SplitFiles(config(), write_split(tmp_path))
    search, sealed = source.search_key(), source.sealed_key()
    assert SplitFiles(config(long_tail=[]), tmp_path).search_key() == search
    assert SplitFiles(config(auxiliary="like"), tmp_path).search_key() != search
    write_split(tmp_path, between=[])
    assert (source.search_key() == search, source.sealed_key() == sealed) == (True, False)
    write_split(tmp_path, train=TINY["train"][:-1])
    assert (source.search_key() == search, source.sealed_key() == sealed) == (False, True)


def test_the_real_files_are_read_whole(qk_directory: Path) -> None:
    """The fast reading of the published files is the one that numpy's own reader gives."""
    path = qk_directory / FILES["valid"]
    rows = parse_rows(path.read_bytes(), config().behaviors, str(path))
    expected = np.loadtxt(path, delimiter=",", dtype=np.int64)
    np.testing.assert_array_equal(
        np.column_stack([rows.users_N, rows.items_N, rows.sets_NK]), expected
    )
