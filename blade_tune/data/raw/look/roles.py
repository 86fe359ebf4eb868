"""Which column is probably the user, the item, the time, what happened, the session, or a rating."""

import re

from blade_tune.data.raw.look.columns import Column
from blade_tune.data.raw.look.guess import NAME, Guess, by_name, missing, named_flags
from blade_tune.data.raw.look.words import rank, signal_of, why_none

MAX_TYPES = 20  # different values of a column that names events
MOSTLY_MISSING = 0.5
ABOUT_AS_GOOD = 0.5  # of the most different values


def find_roles(found: Guess) -> None:
    """Find the columns of all kinds, and name those of a file without a header by them."""
    _find_time(found)
    _find_type(found)
    _find_rating(found)
    _find_ids(found)
    if not found.peek.has_header:
        _name_columns(found)


def _find_time(found: Guess) -> None:
    def is_time(column: Column) -> bool:
        return column.is_date or column.unit is not None

    def fineness(column: Column) -> int:
        is_day = column.unit is not None and column.unit.startswith("days")
        if column.is_date:
            is_day = all(len(value.strip()) <= 10 for value in column.counts)
        return 1 if is_day else 0

    named = by_name(found, "time", is_time)
    candidates = named or [column for column in found.free() if is_time(column)]
    # Of columns without such a name, ids of ten digits look like times too, but spread wider
    if not named:
        candidates.sort(key=lambda column: _spread(column))
    candidates.sort(key=fineness)
    if not candidates:
        unclear = by_name(found, "time", lambda _: True)
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
    named = by_name(found, "type", is_fit)
    candidates = [c for c in named if c in by_value] or by_value or named
    if not candidates:
        return
    best = candidates[0]
    found.take("type", best, NAME if best in named else "its values are names of behaviors")
    if best not in by_value:
        found.doubts.append(
            f"{best.name}: taken for what happened by its name alone; if its values are no events, leave out --type."
        )


def _find_rating(found: Guess) -> None:
    if "type" in found.roles or named_flags(found):
        return
    named = by_name(found, "rating", lambda c: bool(c.numbers) and not c.is_flag)
    candidates = named
    if not found.peek.has_header:
        candidates = [column for column in found.free() if column.is_scale]
    if not candidates:
        return
    best = candidates[0]
    words = f"numbers from {min(best.numbers):g} to {max(best.numbers):g}"
    found.take("rating", best, f"{NAME}, and {words}" if named else words)


def _find_ids(found: Guess) -> None:
    """Find user, item and session: by their names, and where no name tells by their values and places."""
    for kind in ("user", "item", "session"):
        named = by_name(found, kind, lambda c: not c.is_date)
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
        ids = _without_counts(candidates)
        most = max(column.num_distinct for column in ids)
        good = [column for column in ids if column.num_distinct >= ABOUT_AS_GOOD * most]
        best = candidates[0] if kind == "user" else good[0]
        words = "the first of the columns left"
        if best is not candidates[0]:
            words = "of the columns left, one of those with the most values"
        found.take(kind, best, words)
        as_good = " or ".join(column.name for column in good if column is not best)
        if kind == "item" and as_good:
            found.doubts.append(f"--item could also be {as_good}.")


def _without_counts(columns: list[Column]) -> list[Column]:
    """Return columns but for numbers that stand behind one of text, for these tell how much, as plays do."""
    is_text = [not column.numbers for column in columns]
    first = is_text.index(True) if True in is_text else len(columns)
    return [column for place, column in enumerate(columns) if is_text[place] or place < first]


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
    """Return the columns that may be ids by their values; those of yes and no only where there is no other."""
    fit = [
        column
        for column in found.free()
        if not (column.is_date or column.has_fractions or column.missing_share > MOSTLY_MISSING)
        and column.num_distinct > (1 if found.peek.num_rows > 1 else 0)
    ]
    return [column for column in fit if not column.is_flag] or fit


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
