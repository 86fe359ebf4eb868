"""Times of a log as something to order by, exact at whatever precision they are written.

A column is read as the first kind that all its rows are: whole numbers; numbers of at most 38 digits; any numbers; ISO
dates to microseconds; any ISO dates. Kinds of an unlimited precision become text that sorts as the times do.
"""

from collections.abc import Mapping

import duckdb

LAW = "a number in every row, or an ISO date in every row"

SMALL, LARGE = 18, 38  # digits of a decimal that is as quick as a whole number, and of the longest
TEXT = "trim(coalesce(time_text, time_number::VARCHAR))"
NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?"
PLAIN = r"[+-]?[0-9]*\.?[0-9]*"
DATE = rf"CASE WHEN regexp_matches({TEXT}, '^\d{{4}}-') THEN try_cast({TEXT} AS TIMESTAMPTZ) END"
FINE_DATE = r"\.[0-9]{7}"  # has more digits than microseconds
FIRST_S = 10**12  # seconds before 1970, in which any date lies: with them no date is negative
MIDDLE = 5 * 10**7  # of exponents, which lie within a few million: a line is at most so long


class UnreadableError(Exception):
    """A time is neither; `row` is the place of one that is in the way of the kind that most rows are."""

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


def stored(column: str) -> Mapping[str, str]:
    """SQL of the columns that keep a time, of its text: a whole number where it is one, else the text.

    Args:
        column: SQL of the text; NULL where there is no time.
    """
    number = f"try_cast({column} AS BIGINT)"
    is_whole = f"{number}::VARCHAR = {column}"
    return {
        "time_number": f"CASE WHEN {is_whole} THEN {number} END",
        "time_text": f"CASE WHEN {is_whole} THEN NULL ELSE {column} END",
    }


HAS_TIME = "(time_number IS NOT NULL OR time_text IS NOT NULL)"


def is_whole(database: duckdb.DuckDBPyConnection) -> bool:
    """Whether all times of the table `rows` are whole numbers."""
    return _first(database, "time_text IS NOT NULL") is None


def moment(database: duckdb.DuckDBPyConnection) -> str:
    """SQL of what the rows of the table `rows` are ordered by: equal where their times are, else as their times.

    Raises:
        UnreadableError: some time is no number, and some no date.
    """
    if is_whole(database):
        return "time_number"
    no_number = _first(database, f"{HAS_TIME} AND NOT regexp_full_match({TEXT}, '{NUMBER}')")
    if no_number is None:
        return _of_numbers(database)
    no_date = _first(database, f"{HAS_TIME} AND ({DATE}) IS NULL")
    if no_date is not None:
        raise UnreadableError(max(no_number, no_date))
    if _first(database, f"regexp_matches({TEXT}, '{FINE_DATE}')") is None:
        return f"epoch_us({DATE})"
    second = f"epoch_us(try_cast(regexp_replace({TEXT}, '\\.[0-9]+', '') AS TIMESTAMPTZ)) // 1000000"
    fraction = f"rtrim(regexp_extract({TEXT}, '\\.([0-9]+)', 1), '0')"
    return f"lpad(({second} + {FIRST_S})::VARCHAR, 13, '0') || {fraction}"


def _of_numbers(database: duckdb.DuckDBPyConnection) -> str:
    """As decimals where one kind of them holds all digits, for they are quicker."""
    point = f"instr({TEXT}, '.')"
    left, right = f"if({point} > 0, {point} - 1, length({TEXT}))", f"if({point} > 0, length({TEXT}) - {point}, 0)"
    ((is_plain, whole, fraction),) = database.execute(
        f"SELECT bool_and(regexp_full_match({TEXT}, '{PLAIN}')), max({left}), max({right}) FROM rows WHERE {HAS_TIME}"
    ).fetchall()
    for digits in (SMALL, LARGE):
        if is_plain and max(whole, 1) + fraction <= digits:
            return f"{TEXT}::DECIMAL({digits}, {fraction})"
    return _sorted_text()


def _sorted_text() -> str:
    """A number as text: sign, exponent of 0.d1d2... without leading zeros, digits without trailing ones.

    Of a negative number the exponent counts backwards, each digit stands for its rest to nine, and the end is above
    all digits.
    """
    parts = rf"regexp_extract({TEXT}, '^[+-]?([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]+))?$', ['left', 'right', 'power'])"
    digits = f"({parts}.left || {parts}.right)"
    real = f"ltrim({digits}, '0')"
    exponent = (
        f"(length({parts}.left) - length({digits}) + length({real}) + coalesce(try_cast({parts}.power AS BIGINT), 0))"
    )
    shown = f"rtrim({real}, '0')"
    above = f"'2' || ({MIDDLE} + {exponent})::VARCHAR || {shown}"
    below = f"'0' || ({MIDDLE} - {exponent})::VARCHAR || translate({shown}, '0123456789', '9876543210') || '~'"
    return f"CASE WHEN {real} = '' THEN '1' WHEN {TEXT}[1] = '-' THEN {below} ELSE {above} END"


def _first(database: duckdb.DuckDBPyConnection, condition: str) -> int | None:
    ((row,),) = database.execute(f"SELECT min(rowid) FROM rows WHERE {condition}").fetchall()
    return row
