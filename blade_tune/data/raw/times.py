"""Conversion of a log's times to values that sort in time order, exact at any precision.

A column is read as the first of these kinds that fits all its rows: whole numbers; numbers of at most 38 digits; any
numbers; dates to microseconds; any dates (`dates` has their forms). Kinds without a limit of digits become text that
sorts like the times. Only the order of times matters, so numbers may have any unit.
"""

from collections.abc import Mapping
from typing import NamedTuple

import duckdb

from blade_tune.data.raw import dates
from blade_tune.data.raw.settings import DateOrder

# The most digits of a decimal that is as fast as a whole number, and of any decimal
SMALL, LARGE = 18, 38
TEXT = "trim(coalesce(time_text, time_number::VARCHAR))"
NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?"
PLAIN = r"[+-]?[0-9]*\.?[0-9]*"
FINE_DATE = r"\.[0-9]{7}"  # matches a date with more digits than microseconds
FIRST_S = 10**12  # seconds added to those since 1970, so that no date is negative
# An offset of exponents, so that none is negative: the length of a line bounds them to a few million
MIDDLE = 5 * 10**7


class Times(NamedTuple):
    """How the times of the table `rows` are read."""

    moment: str  # SQL of a value that sorts like them
    date_order: DateOrder | None = (
        None  # what comes first in dates that end in a year, if there are such
    )


def stored(column: str) -> Mapping[str, str]:
    """Return SQL of the two columns that store a time: one for whole numbers, one for all other text.

    Args:
        column: SQL of the time's text; NULL for a missing time.

    Returns:
        Name of a column -> its SQL; at most one of the two is not NULL in a row.
    """
    number = f"try_cast({column} AS BIGINT)"
    is_whole = f"{number}::VARCHAR = {column}"
    return {
        "time_number": f"CASE WHEN {is_whole} THEN {number} END",
        "time_text": f"CASE WHEN {is_whole} THEN NULL ELSE {column} END",
    }


HAS_TIME = "(time_number IS NOT NULL OR time_text IS NOT NULL)"


def is_whole(database: duckdb.DuckDBPyConnection) -> bool:
    """Return whether all times of the table `rows` are whole numbers."""
    return _first(database, "time_text IS NOT NULL") is None


def moment(database: duckdb.DuckDBPyConnection, date_order: DateOrder | None = None) -> Times:
    """Return SQL of a value for each row of the table `rows` that is equal for equal times and sorts like them.

    Args:
        database: the scratch database.
        date_order: what comes first in dates that end in a year, where the dates themselves leave that open.

    Raises:
        UnreadableError: some time is no number, and some time is no date.
    """
    if is_whole(database):
        return Times("time_number")

    # Numbers, unless some time is none
    no_number = _first(database, f"{HAS_TIME} AND NOT regexp_full_match({TEXT}, '{NUMBER}')")
    if no_number is None:
        return Times(_of_numbers(database))

    # ISO dates, or other dates written as such, unless some time is none
    text, order = TEXT, None
    if _first(database, f"{HAS_TIME} AND ({_date(TEXT)}) IS NULL") is not None:
        order = dates.order(database, TEXT, HAS_TIME, date_order)
        text = dates.as_iso(TEXT, order)
        no_date = _first(database, f"{HAS_TIME} AND ({_date(text)}) IS NULL")
        if no_date is not None:
            raise dates.UnreadableError(max(no_number, no_date))
    if _first(database, f"regexp_matches({text}, '{FINE_DATE}')") is None:
        return Times(f"epoch_us({_date(text)})", order)

    # More digits than a timestamp keeps: whole seconds as digits of one length, then the fraction's own digits.
    second = (
        f"epoch_us(try_cast(regexp_replace({text}, '\\.[0-9]+', '') AS TIMESTAMPTZ)) // 1000000"
    )
    fraction = f"rtrim(regexp_extract({text}, '\\.([0-9]+)', 1), '0')"
    return Times(f"lpad(({second} + {FIRST_S})::VARCHAR, 13, '0') || {fraction}", order)


def _date(text: str) -> str:
    return (
        f"CASE WHEN regexp_matches({text}, '^\\d{{4}}-') THEN try_cast({text} AS TIMESTAMPTZ) END"
    )


def span(database: duckdb.DuckDBPyConnection, moment: str, used: str) -> dict[str, str]:
    """Return the `first` and the `last` time of the used rows of the table `rows` as the log has them; {} without rows.

    Args:
        database: the scratch database.
        moment: SQL of `moment`.
        used: SQL of whether a row is used.
    """
    found = {}
    for name, extreme in (("first", "min"), ("last", "max")):
        wanted = f"(SELECT {extreme}({moment}) FROM rows WHERE {used})"
        ((text,),) = database.execute(
            f"SELECT min({TEXT}) FROM rows WHERE {used} AND {moment} = {wanted}"
        ).fetchall()
        if text is not None:
            found[name] = text
    return found


def _of_numbers(database: duckdb.DuckDBPyConnection) -> str:
    """Return SQL of numbers as decimals if one type of decimal holds all digits, else as text, which is slower."""
    point = f"instr({TEXT}, '.')"
    left = f"if({point} > 0, {point} - 1, length({TEXT}))"
    right = f"if({point} > 0, length({TEXT}) - {point}, 0)"
    ((is_plain, whole, fraction),) = database.execute(
        f"SELECT bool_and(regexp_full_match({TEXT}, '{PLAIN}')), max({left}), max({right}) FROM rows WHERE {HAS_TIME}"
    ).fetchall()
    for digits in (SMALL, LARGE):
        if is_plain and max(whole, 1) + fraction <= digits:
            return f"{TEXT}::DECIMAL({digits}, {fraction})"
    return _sorted_text()


def _sorted_text() -> str:
    """Return SQL of a number as text that sorts like the number.

    The text is a sign (0, 1 or 2), the exponent of the number written as 0.d1d2..., and its digits without zeros at
    their ends. For a negative number, all must sort backwards: the exponent is subtracted instead of added, each digit
    d becomes 9 - d, and a character above all digits ends the text.
    """
    parts = rf"regexp_extract({TEXT}, '^[+-]?([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]+))?$', ['left', 'right', 'power'])"
    digits = f"({parts}.left || {parts}.right)"
    real = f"ltrim({digits}, '0')"
    power = f"coalesce(try_cast({parts}.power AS BIGINT), 0)"
    exponent = f"(length({parts}.left) - length({digits}) + length({real}) + {power})"
    shown = f"rtrim({real}, '0')"
    above = f"'2' || ({MIDDLE} + {exponent})::VARCHAR || {shown}"
    below = f"'0' || ({MIDDLE} - {exponent})::VARCHAR || translate({shown}, '0123456789', '9876543210') || '~'"
    return f"CASE WHEN {real} = '' THEN '1' WHEN {TEXT}[1] = '-' THEN {below} ELSE {above} END"


def _first(database: duckdb.DuckDBPyConnection, condition: str) -> int | None:
    ((row,),) = database.execute(f"SELECT min(rowid) FROM rows WHERE {condition}").fetchall()
    return row
