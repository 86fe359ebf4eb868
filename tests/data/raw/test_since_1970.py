"""Numbers since 1970: one unit at most makes dates of our years of them, and everything else is no time."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.data.raw.look.columns import Column
from blade_tune.data.raw.since_1970 import UNITS, as_date, unit_of

moments = st.datetimes(datetime(1990, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))


@given(moments, st.sampled_from(list(UNITS)))
def test_a_moment_is_found_in_its_own_unit(moment: datetime, unit: str) -> None:
    """Whatever the unit, the number is that date again, and of no other unit."""
    whole = moment.replace(microsecond=0)
    number = int(whole.timestamp()) * UNITS[unit]
    assert unit_of([number]) == unit
    assert as_date(str(number)) == f"{whole:%Y-%m-%d %H:%M:%S} UTC"


@pytest.mark.parametrize("text", ["", "17", "-100000000000", "1e400", "nan", "2026-01-01", "u1"])
def test_other_texts_are_no_date(text: str) -> None:
    """Numbers of other years, however large, words, and dates as they are written."""
    assert as_date(text) is None
    assert Column("time", [text, "5"]).unit is None


def test_numbers_have_a_unit_together() -> None:
    """One of another unit among them, and none fits all; nor does a unit fit no number."""
    assert unit_of([1_700_000_000, 1_700_000_000_000]) is None
    assert unit_of([]) is None
