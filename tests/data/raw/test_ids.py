"""Ids of a log: two are one only where they are the same id, in whatever form the log has them."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.data.raw.database import connected
from blade_tune.data.raw.forms import LogPart, open_log
from blade_tune.data.raw.load import INTEGER_ID, Log
from blade_tune.data.raw.settings import LogFormat
from blade_tune.errors import DataError

TEXT = LogFormat(user="user", item="item", type="event", behaviors=["view"], columns=["view"])
WHOLE = TEXT.model_copy(update={"integer_ids": True})

wholes = st.integers(0, 10**30).map(str)
near = st.sampled_from(
    [str(2**53), str(2**53 + 1), str(2**64), str(2**64 + 1), "1.5", "12345678901234567.5"]
)
json_numbers = near | wholes | st.builds("{}.{}5".format, wholes, wholes)


def ids(source: Path, form: LogFormat) -> list[tuple[object, object]]:
    """Those of the rows, in order."""
    with connected(source.parent) as database:
        Log(database, open_log([LogPart(source, form)], database, source.parent))
        return database.execute("SELECT user_id, item_id FROM rows ORDER BY rowid").fetchall()


def of_csv(folder: Path, texts: Sequence[str], form: LogFormat) -> list[object]:
    source = folder / "log.csv"
    source.write_text("user,item,event\n" + "".join(f"{text},1,view\n" for text in texts))
    return [user for user, _ in ids(source, form)]


@given(texts=st.lists(json_numbers, min_size=1, max_size=8))
def test_numbers_of_json_have_all_their_digits(texts: list[str]) -> None:
    """As users and as items, beside whole numbers and texts, where a double would make two users one."""
    with TemporaryDirectory() as folder:
        source = Path(folder) / "log.jsonl"
        source.write_text(
            "".join(f'{{"event": "view", "user": {t}, "item" : {t}}}\n' for t in [*texts, '"1.5"'])
        )
        found = ids(source, TEXT)
    assert [user for user, _ in found] == [item for _, item in found]
    pairs = zip([*texts, "1.5"], found, strict=True)
    assert all(Fraction(str(user)) == Fraction(text) for text, (user, _) in pairs)
    assert len({user for user, _ in found}) == len({*texts, "1.5"})


@given(
    number=st.integers(0, 2**63 - 1),
    before=st.sampled_from(["", " ", "00"]),
    after=st.sampled_from(["", " "]),
)
def test_a_whole_number_is_itself(number: int, before: str, after: str) -> None:
    """With spaces and leading zeros, and with an empty fraction where that is all digits of a double."""
    with TemporaryDirectory() as folder:
        texts = [
            f"{before}{number}{after}",
            *([f"{number}.0", f"{number}."] if number < 10**15 else []),
        ]
        assert of_csv(Path(folder), texts, WHOLE) == [number] * len(texts)


@pytest.mark.parametrize(
    "text",
    [
        "3.7",
        "3.2",
        "1e3",
        "0x1A",
        "0b11",
        "1_000",
        "-1",
        "+-1",
        "x",
        str(2**63),
        "9007199254740993.0",
        "true",
    ],
)
def test_what_is_no_whole_number_is_refused(tmp_path: Path, text: str) -> None:
    """It is not rounded to one, and not read in a way that nobody meant."""
    with pytest.raises(DataError, match=INTEGER_ID) as error:
        of_csv(tmp_path, ["3", text], WHOLE)
    assert f"row 2 has {text!r}" in str(error.value)


@pytest.mark.parametrize("text", ["3.7", "03", "1e3", " 3", "-3", "3.0"])
def test_text_is_kept_as_it_is(tmp_path: Path, text: str) -> None:
    assert of_csv(tmp_path, ["3", text], TEXT) == ["3", text]
