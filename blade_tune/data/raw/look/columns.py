"""Facts on the values of a column, from which its meaning is guessed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from blade_tune.data.raw.look.header import DATE, NUMBER
from blade_tune.data.raw.signals import FALSE, TRUE
from blade_tune.data.raw.since_1970 import YEARS, unit_of

DAYS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}  # digits of dates without marks
MAX_RATINGS = 21  # values of a scale: 0 to 10 in halves


@dataclass(frozen=True)
class Column:
    """A column of a file, and the values that were looked at."""

    name: str
    values: Sequence[str | None]
    is_nested: bool = False

    @cached_property
    def counts(self) -> Counter[str]:
        """Value -> number of rows, without missing ones."""
        return Counter(value for value in self.values if value is not None)

    @property
    def num_distinct(self) -> int:
        """The number of different values."""
        return len(self.counts)

    @cached_property
    def missing_share(self) -> float:
        """Share of rows without a value."""
        return 1 - self.counts.total() / max(1, len(self.values))

    @cached_property
    def numbers(self) -> list[float]:
        """The different values as numbers, if all are; else empty."""
        if not self.counts or not all(map(NUMBER.fullmatch, self.counts)):
            return []
        return [float(value) for value in self.counts]

    @property
    def is_whole(self) -> bool:
        """Whether all values are whole numbers."""
        return bool(self.numbers) and all(number.is_integer() for number in self.numbers)

    @cached_property
    def is_flag(self) -> bool:
        """Whether the values are yes and no, as `data prepare` reads them."""
        return bool(self.counts) and self.counts.keys() <= {*TRUE, *FALSE}

    @cached_property
    def share_true(self) -> float:
        """Share of rows in which a flag is set."""
        return sum(self.counts[value] for value in TRUE) / max(1, len(self.values))

    @cached_property
    def is_date(self) -> bool:
        """Whether all values look like dates."""
        return bool(self.counts) and all(map(DATE.fullmatch, self.counts))

    @cached_property
    def unit(self) -> str | None:
        """What a number of the column counts since 1970, or how it writes a day; None if it is no such number."""
        if unit := unit_of(self.numbers):
            return unit
        if not self.is_whole:
            return None
        for digits, pattern in DAYS.items():
            if all(_is_day(value.strip(), digits, pattern) for value in self.counts):
                return f"days written as {min(self.counts)}"
        return None

    @cached_property
    def is_scale(self) -> bool:
        """Whether the values are few numbers from 0 to 10, in steps of a half or larger, as stars are."""
        numbers = self.numbers
        return (
            3 <= self.num_distinct <= MAX_RATINGS
            and min(numbers, default=-1) >= 0
            and 2 <= max(numbers) <= 10
            and all((2 * number).is_integer() for number in numbers)
        )

    @property
    def has_fractions(self) -> bool:
        """Whether the values are numbers of which some have a fraction."""
        return bool(self.numbers) and not self.is_whole

    def shown(self, number: int = 3) -> str:
        """Return the most frequent values, with shares if there are few different ones."""
        total = max(1, len(self.values))
        most = self.counts.most_common(number if self.num_distinct > 6 else 6)
        words = [
            f"{_cut(value)} {count / total:.0%}" if self.num_distinct <= 6 else _cut(value)
            for value, count in most
        ]
        return ", ".join(words) + (", ..." if self.num_distinct > len(most) else "")


def _is_day(text: str, digits: int, pattern: str) -> bool:
    if len(text) != digits or not text.isdecimal():
        return False
    try:
        return YEARS[0] <= datetime.strptime(text, pattern).replace(tzinfo=UTC).year < YEARS[1]
    except ValueError:
        return False


def _cut(value: str) -> str:
    shown = value if len(value) <= 24 else f"{value[:24]}..."
    return repr(shown) if "," in shown else shown
