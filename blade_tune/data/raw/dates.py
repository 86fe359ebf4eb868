"""Dates in other forms than ISO's, as ISO dates: 2015/08/01, 12/1/2010 8:26 PM, 2019-10-01 00:00:00 +02:00.

All is done by SQL on texts in the scratch database's table `rows`.
"""

from typing import Literal

import duckdb

from blade_tune.data.raw.settings import DateOrder

YEAR_FIRST = r"^(\d{4})[/.](\d{1,2})[/.](\d{1,2})"
YEAR_LAST = r"^(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})($|[ T])"
HALVES = r"^(.*[ T])(0?[1-9]|1[0-2])(:[0-9:.]+) ?([AaPp])[Mm]$"  # of the day
ZONE = r" (Z|[+-]\d{2}(?::?\d{2})?)$"  # a blank before it


class UnreadableError(Exception):
    """Times are neither all numbers nor all dates, or dates do not show what comes first in them.

    Args:
        row: 0-based number of a row that shows it.
        expected: what its time must be.
    """

    def __init__(
        self,
        row: int,
        expected: str = "a number in every row, or an ISO date or one such as 12/31/2010 8:26 in every row",
    ) -> None:
        super().__init__(row)
        self.row, self.expected = row, expected


def order(
    database: duckdb.DuckDBPyConnection, text: str, is_date: str, said: DateOrder | None
) -> DateOrder | None:
    """Return what comes first in dates that end in a year, which some row must show; None if there are no such dates.

    Args:
        database: has the table `rows`.
        text: SQL of a row's time.
        is_date: SQL of whether a row has a time.
        said: what comes first if no row shows it.

    Raises:
        UnreadableError: no row shows it, or rows show both.
    """
    parts = f"regexp_extract({text}, '{YEAR_LAST}', ['one', 'two'])"
    # The first row of such a date, and the first in which a part is no month
    firsts = database.execute(
        f"SELECT min(row), min(row) FILTER (one > 12), min(row) FILTER (two > 12) FROM (SELECT rowid AS row, "
        f"{parts}.one::INT AS one, {parts}.two::INT AS two FROM rows "
        f"WHERE {is_date} AND regexp_matches({text}, '{YEAR_LAST}'))"
    ).fetchall()
    ((first, day_first, month_first),) = firsts
    if first is None:
        return None
    if day_first is not None and month_first is not None:
        expected = (
            "a date with day and month in one order, which other rows have the other way round"
        )
        raise UnreadableError(max(day_first, month_first), expected)
    if day_first is not None:
        return "day"
    if month_first is not None:
        return "month"
    if said is None:
        expected = (
            "dates of which some shows by a number above 12 whether the day or the month comes first, or --date-order "
            "day or month must say it"
        )
        raise UnreadableError(first, expected)
    return said


def as_iso(text: str, date_order: DateOrder | None) -> str:
    """Return SQL of a time as an ISO date, if it is a date in one of the forms here, else of the time as it is.

    Args:
        text: SQL of the time.
        date_order: what comes first in dates that end in a year.
    """
    places: dict[DateOrder | None, Literal["3-1-2", "3-2-1"]] = {"month": "3-1-2", "day": "3-2-1"}
    iso = f"regexp_replace({text}, '{YEAR_FIRST}', '\\1-\\2-\\3')"
    if date_order is not None:
        year, second, third = places[date_order].split("-")
        iso = f"regexp_replace({iso}, '{YEAR_LAST}', '\\{year}-\\{second}-\\{third}\\4')"
    iso = f"regexp_replace({iso}, '{ZONE}', '\\1')"
    half = f"regexp_extract({iso}, '{HALVES}', ['day', 'hour', 'rest', 'half'])"
    hour = f"({half}.hour::INT % 12 + if(lower({half}.half) = 'p', 12, 0))"
    return f"CASE WHEN regexp_matches({iso}, '{HALVES}') THEN {half}.day || {hour} || {half}.rest ELSE {iso} END"
