"""What stands for behaviors: values of the type, flags, a rating, or every row."""

import re
from collections.abc import Sequence
from pathlib import Path

from blade_tune.data.raw.look.columns import Column
from blade_tune.data.raw.look.guess import BEHAVIORS, NAME, Guess, by_name, named_flags
from blade_tune.data.raw.look.words import (
    SHOWN,
    behavior_name,
    plain,
    signal_of,
    why_none,
    words_of,
)
from blade_tune.data.raw.settings import EVERY_ROW


def find_behaviors(found: Guess) -> None:
    """Find what stands for behaviors: values of the type, flags, a rating, or every row."""
    if "type" in found.roles:
        _behaviors_of_type(found, found.roles["type"])
        if found.behaviors:
            return
        found.doubts.append(
            f"no event is a behavior by its name: put those that are in the place of {BEHAVIORS}."
        )
        return
    flags = named_flags(found)
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
        ratings = by_name(found, "rating", lambda c: bool(c.numbers) and not c.is_flag)
        if ratings:
            found.doubts.append(
                f"or take likes from {ratings[0].name}: --rating {ratings[0].name} --like-from NUMBER."
            )
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
            f"no column names what happened, so every row counts as {name}; or --behaviors {names}."
        )
    amounts = by_name(found, "amount", lambda c: len(c.numbers) > 2)
    if amounts:
        low, *_, high = sorted(amounts[0].numbers)
        middle = sorted(amounts[0].numbers)[len(amounts[0].numbers) // 2]
        found.doubts.append(
            f"every row counts as {name}, however small its {amounts[0].name} ({low:g} to {high:g}); or --behaviors "
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
