"""Numbers that count time since 1970: in which unit they do, and their dates."""

from collections.abc import Iterable
from datetime import UTC, datetime

# A time unit -> what one second is in it
UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
YEARS = (1990, 2100)  # those of which a log may be; in one unit at most a number lies in them
FIRST_S, END_S = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in YEARS)


def unit_of(numbers: Iterable[float]) -> str | None:
    """Return the unit in which all of some numbers are times of our years; None if there is none."""
    numbers = list(numbers)
    for name, unit in UNITS.items():
        if numbers and all(FIRST_S <= number / unit < END_S for number in numbers):
            return name
    return None


def date_of(number: float, unit: str) -> str:
    """Return the date of a number in one of UNITS."""
    return f"{datetime.fromtimestamp(number / UNITS[unit], UTC):%Y-%m-%d %H:%M:%S} UTC"


def as_date(text: str) -> str | None:
    """Return the date of a text that is a number of such a time; None for any other text."""
    try:
        number = float(text)
    except ValueError:
        return None
    unit = unit_of([number])
    return date_of(number, unit) if unit else None
