"""Which column is probably the user, the item, the time, ... and what stands for behaviors, each with the reason."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from blade_tune.data.raw.look.columns import Column
from blade_tune.data.raw.look.peek import Peek
from blade_tune.data.raw.look.words import (
    SHOWN,
    behavior_name,
    plain,
    rank,
    signal_of,
    why_none,
    words_of,
)
from blade_tune.data.raw.settings import EVERY_ROW

BEHAVIORS = "BEHAVIORS"  # stands for those that could not be guessed
MAX_TYPES = 20  # different values of a column that names events
MOSTLY_MISSING = 0.5
ABOUT_AS_GOOD = 0.5  # of the most different values
NAME = "its name"


@dataclass
class Guess:
    """What the columns of a source probably mean."""

    peek: Peek
    columns: list[Column]
    # Kind (user, item, time, type, session, rating, amount) -> column
    roles: dict[str, Column] = field(default_factory=dict)
    reasons: dict[str, str] = field(
        default_factory=dict
    )  # name of a column -> why it has its meaning
    behaviors: dict[str, str] = field(
        default_factory=dict
    )  # name -> the value or column; * for every row
    strengths: dict[str, str | None] = field(
        default_factory=dict
    )  # name -> "weak", "strong" or None
    thresholds: dict[str, float] = field(default_factory=dict)
    date_order: str | None = None
    doubts: list[str] = field(
        default_factory=list
    )  # sentences on other guesses, and on what could not be guessed

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


def guess_of(peek: Peek) -> Guess:
    """Return what the columns of a source probably mean."""
    columns = [Column(name, values, name in peek.nested) for name, values in peek.columns.items()]
    found = Guess(peek, columns)
    nested = sorted(peek.nested)
    if nested:
        found.doubts.append(
            f"{', '.join(nested)}: objects, lists or long numbers, which are not read; write each event as a row "
            "of its own, and each value that is meant as a column."
        )
    _find_time(found)
    _find_type(found)
    _find_rating(found)
    _find_ids(found)
    if not peek.has_header:
        _name_columns(found)
    _find_behaviors(found)
    return found


def missing(kind: str) -> str:
    """Return what stands for the name of a column that could not be guessed."""
    return f"{kind.upper()}_COLUMN"


def _by_name(found: Guess, kind: str, is_fit: Callable[[Column], bool]) -> list[Column]:
    """Return the columns whose name says that they are of a kind, the surest first."""
    ranked = [
        (place, column)
        for column in found.free()
        if (place := rank(column.name, kind)) is not None and is_fit(column)
    ]
    return [column for _, column in sorted(ranked, key=lambda pair: pair[0])]


def _find_time(found: Guess) -> None:
    def is_time(column: Column) -> bool:
        return column.is_date or column.unit is not None

    def fineness(column: Column) -> int:
        is_day = column.unit is not None and column.unit.startswith("days")
        if column.is_date:
            is_day = all(len(value.strip()) <= 10 for value in column.counts)
        return 1 if is_day else 0

    named = _by_name(found, "time", is_time)
    candidates = named or [column for column in found.free() if is_time(column)]
    # Of columns without such a name, ids of ten digits look like times too, but spread wider
    if not named:
        candidates.sort(key=lambda column: _spread(column))
    candidates.sort(key=fineness)
    if not candidates:
        unclear = _by_name(found, "time", lambda _: True)
        if unclear:
            found.doubts.append(
                f"{unclear[0].name}: named like a time, but its values ({unclear[0].shown()}) are no dates and no "
                "times since 1970; where its numbers sort as the events happened, take it with --time."
            )
        else:
            found.doubts.append(
                "no column looks like a time: the rows of a user must stand in order of time."
            )
        return
    best, *others = candidates
    words = f"dates such as {next(iter(best.counts))}" if best.is_date else _unit_words(best)
    found.take("time", best, f"{NAME}, and {words}" if named else words)
    equals = [column.name for column in others if fineness(column) == fineness(best)]
    if equals:
        found.doubts.append(f"--time could also be {' or '.join(equals)}.")


def _spread(column: Column) -> float:
    return max(column.numbers) - min(column.numbers) if column.numbers else 0.0


def _unit_words(column: Column) -> str:
    unit = str(column.unit)
    return unit if unit.startswith("days") else f"values look like {unit} since 1970"


def _find_type(found: Guess) -> None:
    """Find the column that names events: by its name, or by values that are names of behaviors."""

    def is_fit(column: Column) -> bool:
        return 1 <= column.num_distinct <= MAX_TYPES and not column.has_fractions

    def known_share(column: Column) -> float:
        known = [v for v in column.counts if signal_of(v) or why_none(v)]
        return sum(column.counts[value] for value in known) / column.counts.total()

    fit = [column for column in found.free() if is_fit(column)]
    by_value = [column for column in fit if known_share(column) > 0.5]
    named = _by_name(found, "type", is_fit)
    candidates = [c for c in named if c in by_value] or by_value or named
    if not candidates:
        return
    best = candidates[0]
    is_named = best in named
    words = f"{best.num_distinct} values: {best.shown()}"
    found.take("type", best, f"{NAME}, and {words}" if is_named else words)
    if best not in by_value:
        found.doubts.append(
            f"{best.name}: taken for what happened by its name alone; if its values are no events, leave out --type."
        )


def _find_rating(found: Guess) -> None:
    if "type" in found.roles or _named_flags(found):
        return
    named = _by_name(found, "rating", lambda c: bool(c.numbers) and not c.is_flag)
    candidates = named
    if not found.peek.has_header:
        candidates = [column for column in found.free() if column.is_scale]
    if not candidates:
        return
    best = candidates[0]
    words = f"numbers from {min(best.numbers):g} to {max(best.numbers):g}"
    found.take("rating", best, f"{NAME}, and {words}" if named else words)


def _named_flags(found: Guess) -> list[Column]:
    return [column for column in found.free() if column.is_flag and signal_of(column.name)]


def _find_ids(found: Guess) -> None:
    """Find user, item and session: by their names, and where no name tells by their values and places."""
    for kind in ("user", "item", "session"):
        named = _by_name(found, kind, lambda c: not c.is_date)
        if not named:
            continue
        best, *others = named
        found.take(kind, best, NAME)
        equals = [other.name for other in others if _is_equal(other, best, kind)]
        if equals:
            found.doubts.append(f"--{kind} could also be {' or '.join(equals)}.")
    _session_for_user(found)
    for kind in ("user", "item"):
        if kind in found.roles:
            continue
        candidates = _id_like(found)
        if not candidates:
            found.doubts.append(
                f"no column looks like ids of {kind}s: put its name in the place of {missing(kind)}."
            )
            continue
        most = max(column.num_distinct for column in candidates)
        good = [c for c in candidates if c.num_distinct >= ABOUT_AS_GOOD * most]
        best = candidates[0] if kind == "user" else good[0]
        found.take(kind, best, f"the first of the columns left, {best.num_distinct:,} values")
        as_good = " or ".join(column.name for column in good if column is not best)
        if kind == "item" and as_good:
            found.doubts.append(f"--item could also be {as_good}.")


def _is_equal(column: Column, best: Column, kind: str) -> bool:
    """Return whether another column of a fitting name may be meant as well."""
    own, other = rank(best.name, kind) or 0, rank(column.name, kind) or 0
    has_values = column.missing_share <= MOSTLY_MISSING and column.num_distinct > 1
    return has_values and other - own <= 3 + 2 * (best.missing_share > MOSTLY_MISSING)


def _session_for_user(found: Guess) -> None:
    """Let sessions stand for users where most rows have none."""
    user, session = found.roles.get("user"), found.roles.get("session")
    if session is None or (user is not None and user.missing_share <= MOSTLY_MISSING):
        return
    if user is not None:
        if session.missing_share >= user.missing_share:
            return
        found.reasons.pop(user.name)
        found.doubts.append(
            f"{user.name}: missing in {user.missing_share:.0%} of the rows, so sessions stand for users; with --user "
            f"{user.name} only rows that have one would be read."
        )
    del found.roles["session"]
    found.take("user", session, "its name; sessions stand for users, of which no column tells")


def _id_like(found: Guess) -> list[Column]:
    """Return the columns that may be ids by their values."""
    rows = found.peek.num_rows
    return [
        column
        for column in found.free()
        if not (column.is_date or column.has_fractions or column.missing_share > MOSTLY_MISSING)
        and column.num_distinct > (1 if rows > 1 else 0)
        and not (column.is_flag and column.name != "column_1")
    ]


def _name_columns(found: Guess) -> None:
    """Name the columns of a file without a header by their meaning."""
    kinds = {id(column): kind for kind, column in found.roles.items()}
    renamed: dict[int, Column] = {}
    reasons: dict[str, str] = {}
    for column in found.columns:
        kind = kinds.get(id(column))
        name = {"type": "event"}.get(kind or "", kind or column.name)
        renamed[id(column)] = Column(name, column.values, column.is_nested)
        if column.name in found.reasons:
            reasons[name] = found.reasons[column.name]
        if kind is not None:
            word = rf"\b{column.name}\b"
            found.doubts[:] = [re.sub(word, name, doubt) for doubt in found.doubts]
    found.roles = {kind: renamed[id(column)] for kind, column in found.roles.items()}
    found.columns = [renamed[id(column)] for column in found.columns]
    found.reasons = reasons


def _find_behaviors(found: Guess) -> None:
    """Find what stands for behaviors: values of the type, flags, a rating, or every row."""
    if "type" in found.roles:
        _behaviors_of_type(found, found.roles["type"])
        if found.behaviors:
            return
        found.doubts.append(
            f"no event is a behavior by its name: put those that are in the place of {BEHAVIORS}."
        )
        return
    flags = _named_flags(found)
    others = [c for c in found.free() if c.is_flag and c not in flags and c.num_distinct > 1]
    if flags:
        chosen = [column for column in flags if column.share_true]
        for column in sorted(chosen, key=lambda c: -c.share_true):
            _add_behavior(found, column.name, column.name)
            found.reasons[column.name] = (
                f"{NAME}, and it is set in {column.share_true:.1%} of the rows"
            )
        if others:
            shown = ", ".join(map(_with_reason, others))
            found.doubts.append(f"also of 0 and 1: {shown}; add those that are behaviors.")
        if found.behaviors:
            return
    if "rating" in found.roles:
        _behaviors_of_rating(found, found.roles["rating"])
        return
    name = _name_by_file(found.peek.source)
    found.behaviors[name] = EVERY_ROW
    found.strengths[name] = signal_of(name)
    if others:
        names = ",".join(column.name for column in others)
        found.doubts.append(
            f"no column names what happened, so every row is a {name}; or --behaviors {names}."
        )
    amounts = _by_name(found, "amount", lambda c: len(c.numbers) > 2)
    if amounts:
        low, *_, high = sorted(amounts[0].numbers)
        middle = sorted(amounts[0].numbers)[len(amounts[0].numbers) // 2]
        found.doubts.append(
            f"every row is a {name}, however small its {amounts[0].name} ({low:g} to {high:g}); or --behaviors "
            f"{name}={amounts[0].name} --threshold {amounts[0].name}={middle:g}."
        )


def _with_reason(column: Column) -> str:
    why = why_none(column.name)
    return f"{column.name} ({why})" if why else column.name


def _add_behavior(found: Guess, word: str, value: str) -> None:
    name = behavior_name(word)
    if not name or name in found.behaviors:
        prefix = behavior_name(found.name_of("type") or "") or "behavior"
        end = re.sub(r"\W+", "_", word).strip("_") or "other"
        name = f"{prefix}_{end}"
        while name in found.behaviors:
            name += "_"
    found.behaviors[name] = value
    found.strengths[name] = signal_of(word)


def _behaviors_of_type(found: Guess, column: Column) -> None:
    item = found.roles.get("item")
    without: dict[str, list[str]] = {}
    for value, count in column.counts.most_common():
        why = why_none(value)
        if why is None and item is not None and signal_of(value) is None:
            lacking = sum(
                1
                for event, thing in zip(column.values, item.values, strict=True)
                if event == value and thing is None
            )
            why = "is mostly without an item" if lacking > count / 2 else None
        if why is None:
            _add_behavior(found, value, value)
        else:
            without.setdefault(why, []).append(value)
    for why, values in without.items():
        advice = ""
        if why == SHOWN:
            advice = f"; --seen {','.join(values)} keeps what was shown from being recommended"
        found.doubts.append(f"no behavior is made of {', '.join(values)}, which {why}{advice}.")


def _behaviors_of_rating(found: Guess, column: Column) -> None:
    """Make every row a rating, and the better part of the scale a like: 4 of 5, 7 of 10."""
    high = max(column.numbers)
    least = next(
        (least for top, least in ((1, 1), (5, 4), (10, 7)) if high <= top), round(high * 0.7)
    )
    found.behaviors = {"rate": EVERY_ROW, "like": column.name}
    found.strengths = {"rate": "weak", "like": "strong"}
    found.thresholds[column.name] = float(least)
    share = sum(n for value, n in column.counts.items() if float(value) >= least) / len(
        column.values
    )
    found.doubts.append(
        f"{column.name} is {least:g} or more in {share:.0%} of the rows; another number with --like-from."
    )


def _name_by_file(source: Path) -> str:
    """Return what every row of a file is, if its name tells: a view in views.csv."""
    words: Sequence[str] = words_of(source.name.partition(".")[0])
    for word in reversed(words):
        single = word[:-1] if len(word) > 3 and word.endswith("s") else word
        for form in (single, word):
            if signal_of(form):
                return plain(form)
    return "interact"
