"""What the columns of a source probably mean, each with the reason."""

from collections.abc import Callable
from dataclasses import dataclass, field

from blade_tune.data.raw.look.columns import Column
from blade_tune.data.raw.look.peek import Peek
from blade_tune.data.raw.look.words import rank, signal_of
from blade_tune.data.raw.settings import DateOrder

NAME = "its name"  # a reason
BEHAVIORS = "BEHAVIORS"  # stands for those that could not be guessed


def missing(kind: str) -> str:
    """Return what stands for the name of a column that could not be guessed."""
    return f"{kind.upper()}_COLUMN"


@dataclass
class Guess:
    """What the columns of a source probably mean."""

    peek: Peek
    columns: list[Column]
    # Kind (user, item, time, type, session, rating) -> column
    roles: dict[str, Column] = field(default_factory=dict)
    # Name of a column -> why it has its meaning
    reasons: dict[str, str] = field(default_factory=dict)
    # Name of a behavior -> the value or the column; * for every row
    behaviors: dict[str, str] = field(default_factory=dict)
    # Name of a behavior -> "weak", "strong", or None if its name does not tell
    strengths: dict[str, str | None] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)
    date_order: DateOrder | None = None
    # Sentences on other guesses, and on what could not be guessed
    doubts: list[str] = field(default_factory=list)

    def name_of(self, kind: str) -> str | None:
        """Return the name of the column of a kind."""
        column = self.roles.get(kind)
        return column.name if column else None

    def free(self) -> list[Column]:
        """Return the columns that have no meaning yet, and could have one."""
        taken = {id(column) for column in self.roles.values()}
        return [c for c in self.columns if id(c) not in taken and not c.is_nested and c.counts]

    def take(self, kind: str, column: Column, reason: str) -> None:
        """Give a column its meaning."""
        self.roles[kind] = column
        self.reasons[column.name] = reason


def by_name(found: Guess, kind: str, is_fit: Callable[[Column], bool]) -> list[Column]:
    """Return the columns whose name says that they are of a kind, the surest first."""
    ranked = [
        (place, column)
        for column in found.free()
        if (place := rank(column.name, kind)) is not None and is_fit(column)
    ]
    return [column for _, column in sorted(ranked, key=lambda pair: pair[0])]


def named_flags(found: Guess) -> list[Column]:
    """Return the columns of yes and no that are called like behaviors."""
    return [column for column in found.free() if column.is_flag and signal_of(column.name)]
