"""Times order and merge rows as the exact numbers that they are, in every form and at every precision."""

import json
from base64 import b85decode
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from zlib import decompress

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blade_tune.data.raw.database import connected
from blade_tune.data.raw.forms import LogPart, open_log
from blade_tune.data.raw.load import Log
from blade_tune.errors import DataError
from tests.data.raw.logs import EVENTS

NAMES = EVENTS.behaviors
Met = list[tuple[str, int]]  # item and set, in order of time
Time = tuple[str, Fraction]  # as it stands in a file, and what it is
digits = st.text("0123456789", max_size=24)


@st.composite
def numbers(draw: st.DrawFn) -> Time:
    """Text of a number that is near others: few whole parts, any number of digits behind, zeros and exponents."""
    sign = draw(st.sampled_from(["", "", "-", "+"]))
    whole = draw(
        st.sampled_from(["", "0", "00", "7", "100", "1700000000", "9007199254740993", "9" * 30])
    )
    behind = draw(
        st.sampled_from(["", "", "0", "1", "4", "10", "40", "999999999999999999", "0" * 40 + "1"])
        | digits
    )
    text = (
        f"{whole or ('' if behind else '0')}{'.' if behind or draw(st.booleans()) else ''}{behind}"
    )
    power = draw(st.sampled_from(["", "", "", "e0", "E2", "e+3", "e-3", "e-40", "E300"]))
    return f"{sign}{text}{power}", Fraction(
        f"{sign}{text.rstrip('.') if not behind else text}{power}"
    )


@st.composite
def json_numbers(draw: st.DrawFn) -> Time:
    """As JSON has them: no plus, no leading zero, digits on both sides of a point."""
    text = draw(st.sampled_from(["0", "-0", "7", "-7", "1700000000", "9007199254740993", "9" * 25]))
    if behind := draw(
        st.sampled_from(["", "1", "10", "123456789", "1234567890", "0" * 30 + "1"]) | digits
    ):
        text += f".{behind}"
    text += draw(st.sampled_from(["", "", "", "e0", "E-3", "e+3", "e300"]))
    return text, Fraction(text)


@st.composite
def plain_numbers(draw: st.DrawFn) -> Time:
    """What a shop's log holds: seconds with milliseconds, or microseconds, or the days of a spreadsheet."""
    whole, places = draw(st.sampled_from([(1700000000, 3), (1700000000, 6), (45000, 10), (0, 17)]))
    text = f"{whole + draw(st.integers(0, 1))}.{draw(st.integers(0, 10**places - 1)):0{places}}"
    return text, Fraction(text)


@st.composite
def dates(draw: st.DrawFn) -> Time:
    """ISO dates of any zone, before 1970 too, with up to 12 digits of a second."""
    second = draw(st.sampled_from([-(10**10), -1, 0, 1, 1_700_000_000, 1_700_000_001]))
    zone = draw(st.sampled_from([None, 0, 2, -11]))
    behind = draw(
        st.sampled_from(
            ["", ".1", ".10", ".123456", ".1234567", ".123456789", ".123456789012", ".000000001"]
        )
    )
    moment = datetime.fromtimestamp(0, timezone(timedelta(hours=zone or 0))) + timedelta(
        seconds=second
    )
    shown = moment.strftime("%Y-%m-%d %H:%M:%S") + behind
    return shown + ("" if zone is None else f"{zone:+03}:00"), second + Fraction(f"0{behind}")


def doubles(kind: type[np.floating]) -> st.SearchStrategy[Time]:
    """Neighbors of a few numbers, as a floating column holds them."""
    near = st.sampled_from(
        [0.0, 0.1, 100.1, 45_000.37, 1.7e9, 2.0**53, 1e18, 1e30, -0.1, -1.7e9, 1e-5]
    )

    def steps(value: float, count: int) -> Time:
        stored = kind(value)
        for _ in range(abs(count)):
            stored = np.nextafter(stored, kind(np.sign(count) * np.inf))
        return repr(float(stored)), Fraction(float(stored))

    return st.builds(steps, near, st.integers(-2, 2))


def stamps(per_second: int) -> st.SearchStrategy[Time]:
    """Whole units since 1970."""
    near = st.sampled_from(
        [0, -1, 1_700_000_000 * per_second, 1_700_000_000 * per_second + per_second // 2]
    )
    return st.builds(
        lambda start, more: (str(start + more), Fraction(start + more, per_second)),
        near,
        st.integers(-2, 2),
    )


# Suffix, how a time is written (SQL for Parquet), times
Form = tuple[str, str, st.SearchStrategy[Time]]
FORMS: dict[str, Form] = {
    "text of any digits": (".csv", "{}", numbers()),
    "text of a shop": (".csv", "{}", plain_numbers()),
    "dates": (".csv", "{}", dates()),
    "JSON numbers": (".jsonl", "{}", json_numbers()),
    "JSON numbers of a shop": (".jsonl", "{}", plain_numbers()),
    "JSON text": (".jsonl", '"{}"', numbers()),
    "JSON dates": (".jsonl", '"{}"', dates()),
    "DOUBLE": (".parquet", "'{}'::DOUBLE", doubles(np.float64)),
    "FLOAT": (".parquet", "'{}'::FLOAT", doubles(np.float32)),
    "DECIMAL": (".parquet", "'{}'::DECIMAL(38, 17)", plain_numbers()),
    "BIGINT": (".parquet", "{}::BIGINT", stamps(10**9)),
    "UBIGINT": (".parquet", "({}::HUGEINT + 9223372036854775808)::UBIGINT", stamps(1)),
    "TIMESTAMP_S": (".parquet", "make_timestamp({}::BIGINT * 1000000)::TIMESTAMP_S", stamps(1)),
    "TIMESTAMP_MS": (".parquet", "make_timestamp({}::BIGINT * 1000)::TIMESTAMP_MS", stamps(10**3)),
    "TIMESTAMP": (".parquet", "make_timestamp({}::BIGINT)", stamps(10**6)),
    "TIMESTAMP_NS": (".parquet", "make_timestamp_ns({}::BIGINT)", stamps(10**9)),
    "TIMESTAMPTZ": (".parquet", "make_timestamp({}::BIGINT)::TIMESTAMPTZ", stamps(10**6)),
    "TIMESTAMPTZ_NS": (".parquet", "make_timestamp_ns({}::BIGINT)::TIMESTAMPTZ_NS", stamps(10**9)),
}  # fmt: skip


def write(
    path: Path, times: Sequence[str], items: Sequence[str], events: Sequence[str], written: str
) -> None:
    """A log of one user, whose times stand in the file as they are given."""
    rows = list(zip(times, items, events, strict=True))
    if path.suffix == ".csv":
        path.write_text("user,item,time,event\n" + "".join(f"u,{i},{t},{e}\n" for t, i, e in rows))
    elif path.suffix == ".jsonl":
        shown = (
            f'{{"user": "u", "time": {written.format(t)}, "item": {json.dumps(i)}, "event": "{e}"}}'
            for t, i, e in rows
        )
        path.write_text("\n".join(shown) + "\n")
    else:
        shown = (f"({n}, {written.format(t)}, '{i}', '{e}')" for n, (t, i, e) in enumerate(rows))
        with duckdb.connect() as database:
            database.execute("SET TimeZone = 'UTC'")
            table = f"(VALUES {', '.join(shown)}) AS log(n, time, item, event)"
            chosen = f"SELECT 'u' AS user, time, item, event FROM {table} ORDER BY n"  # noqa: S608
            database.execute(f"COPY ({chosen}) TO '{path}'")


def read(source: Path) -> Met:
    """The interactions of a log in the order in which they are found to be."""
    with TemporaryDirectory() as folder, connected(Path(folder)) as database:
        log = Log(database, open_log([LogPart(source, EVENTS)], database, Path(folder)))
        log.interact()
        return database.execute("SELECT item_id, mask FROM met ORDER BY position").fetchall()


def expected(times: Sequence[Fraction], items: Sequence[str], events: Sequence[str]) -> Met:
    """By plain loops over exact numbers."""
    merged: dict[tuple[str, Fraction], int] = {}
    for time, item, event in zip(times, items, events, strict=True):
        merged[item, time] = merged.get((item, time), 0) | 1 << NAMES.index(event)
    ordered = sorted(
        ((item, mask, time) for (item, time), mask in merged.items()), key=lambda row: row[2]
    )
    return list(dict.fromkeys((item, mask) for item, mask, _ in ordered))


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=5)
@given(data=st.data())
def test_times_are_exact(form: str, data: st.DataObject) -> None:
    """Rows merge where their times are equal as rational numbers, and stand in their order, ties as in the file."""
    suffix, written, strategy = FORMS[form]
    times = data.draw(st.lists(strategy, min_size=2, max_size=30))
    times += [
        times[place] for place in data.draw(st.lists(st.integers(0, len(times) - 1), max_size=10))
    ]
    size = {"min_size": len(times), "max_size": len(times)}
    items = data.draw(st.lists(st.sampled_from("abc"), **size))
    events = data.draw(st.lists(st.sampled_from(NAMES), **size))
    with TemporaryDirectory() as folder:
        source = Path(folder) / f"log{suffix}"
        write(source, [text for text, _ in times], items, events, written)
        assert read(source) == expected([value for _, value in times], items, events)


@pytest.mark.parametrize(
    "texts",
    [
        ("100.1", "100.4"),
        ("0.1", "0.10000000000000000000001"),
        ("9007199254740993", "9007199254740992"),
    ],
)
@pytest.mark.parametrize("written", ["{}", '"{}"'])
def test_events_of_one_second_are_two(tmp_path: Path, texts: tuple[str, str], written: str) -> None:
    """The later one stands later, whatever the order of the file, and they do not merge."""
    for first, second in (texts, texts[::-1]):
        write(tmp_path / "log.jsonl", [first, second], "aa", ["view", "buy"], written)
        assert [mask for _, mask in read(tmp_path / "log.jsonl")] == (
            [1, 4] if Fraction(first) < Fraction(second) else [4, 1]
        )


@pytest.mark.parametrize("key", ["time", "\\u0074im\\u0065"])
def test_a_key_of_json_may_be_spelled_in_any_way(tmp_path: Path, key: str) -> None:
    """Digits of a number are kept under an escaped key, beside texts that look like the key."""
    lines = [
        f'{{"note": "\\"time\\": 1", "user": "u", "item": "{item}", "event": "view", "{key}"\t: 1.{"0" * 20}{digit}}}'
        for item, digit in (("b", 2), ("a", 1))
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    assert [item for item, _ in read(tmp_path / "log.jsonl")] == ["a", "b"]


INT96 = (
    "c-n=M%}T>S5XUEJ414HxmM-LwOM-$eR;njGc#9B9@mRdXuxOx7W4?+$f}RvlK8H`>U7y8+_d1(MEF~)J&g}mA{bxTXCuc(hoZ)O284XM{"
    "EdbD|GmXD}+`f7Mmv;`}FXPo}{O~jexIZQxaD=0lLK?+lBm4<ps1P(EB*sIp1@0)gxG^Y|kz8&}(Gcec&@;2}O3njhWOnqPmIHPv8$~8l"
    "2Ygkn7NT6v*M%)v$~ga4I1`reU9iv;jtPS5Ac_1@qvo<x3)KbaaI|9z7Z^Dd+pXDZtqPy=sr#(`&{VdKS6gZL&wu%Pr<Eb*vHPyC8LY;@"
    "Upkz*j1p|yNswL_GVg~;(ht&fv9wE>X3-+H_YVhqgP~BTZW{RX5EJ?>U-dm!kN"
)  # four times in the form of Parquet's first years, from 123456790 ns over 123456789 ns, twice, to the earliest
DECIMAL_76 = (
    "c-jka3^EjD5ba?CA{|i<Ad^j$O@@JifeDB?7#R@2CC6Iy=cKguOGj8u{%%bHi!l+9XQWV`0q7nRQ4=f<1L-V9Bk(Ft0uhODA{nU0L(~I{"
    "VrG!y(n=N}RhF4rj>Z*bk&H2AkYFoL&PdHo6y;zL<r8%fWs+blQRNa%5uL%P69c9|Zs$>Dl3*z<PAyVp@R5NFWR|4nA`7slmZj#EKt;qj"
    "BxNLh)EHz$`6N}@7$kw_iUI}2wlM*b8i%KhC@4sn7;H4zB-I!=fI2{Gc_3=Rc7c^giAAaHV?w9~8jDRm$SH93Gnfgfhqx51Ax|t%?Gv&F"
    "8Mp?q8!TcRY8*g{K|`S+v8b>#wL~|$pg=dVs3^Z&p)9qiI5R&_!N^R{K+jMT<ZC!$hy#XO05C-Y0K+wAO8"
)  # a column of DECIMAL(76, 50)


def unpacked(text: str, path: Path) -> Path:
    path.write_bytes(decompress(b85decode(text)))
    return path


def test_nanoseconds_of_an_int96(tmp_path: Path) -> None:
    """As Impala and Spark write times."""
    form = EVENTS.model_copy(update={"time": "t"})
    source = unpacked(INT96, tmp_path / "log.parquet")
    with connected(tmp_path) as database:
        Log(database, open_log([LogPart(source, form)], database, tmp_path)).interact()
        met = database.execute("SELECT item_id, mask FROM met ORDER BY position").fetchall()
    assert met == [("c", 1), ("a", 5), ("b", 4)]


def test_what_is_rounded_by_reading_is_refused(tmp_path: Path) -> None:
    """A decimal of more digits than the reader has."""
    source = unpacked(DECIMAL_76, tmp_path / "log.parquet")
    form = EVENTS.model_copy(update={"time": "t"})
    with (
        connected(tmp_path) as database,
        pytest.raises(DataError, match=r"t must have at most 38 digits.* got decimals of 76"),
    ):
        Log(database, open_log([LogPart(source, form)], database, tmp_path))
