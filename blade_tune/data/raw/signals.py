"""SQL of which behaviors a row of a log has, and of whether it says that its user knows its item."""

from collections.abc import Mapping

from blade_tune.data.raw.files import cases, literal, quoted
from blade_tune.data.raw.settings import EVERY_ROW, LogFormat

TRUE = ("1", "true", "True", "TRUE", "1.0")
FALSE = ("0", "false", "False", "FALSE", "0.0")


def mask(form: LogFormat) -> str:
    """Return SQL of the mask of a row's behaviors; NULL if one of their columns cannot be read."""
    if form.type:
        # A row is one event with one type, which may be none of the behaviors: mask 0.
        masks = _masks(form)
        return f"CASE {cases(quoted(form.type), masks)} ELSE 0 END" if masks else "0"

    # A row is one interaction with a column a behavior.
    bits = []
    for k, alternatives in enumerate(form.alternatives):
        flags = [flag(column, form.thresholds) for column in alternatives]
        bits.append(f"(({' | '.join(flags or ['0'])}) << {k})")
    return " | ".join(bits)


def seen(form: LogFormat) -> str:
    """Return SQL of whether a row without a behavior says that the user knows the item; NULL as for `mask`."""
    if not form.seen:
        return "false"
    if not form.type:
        return f"({' | '.join(flag(column, form.thresholds) for column in form.seen)}) = 1"
    if EVERY_ROW in form.seen:
        return "true"
    return f"CASE {cases(quoted(form.type), dict.fromkeys(form.seen, 'true'))} ELSE false END"


def flag(name: str, thresholds: Mapping[str, float]) -> str:
    """Return SQL of a behavior's column as 1 or 0, with 0 for a missing value and NULL for any other text."""
    if name == EVERY_ROW:
        return "1"
    column = quoted(name)
    if name in thresholds:
        number = f"try_cast({column} AS DOUBLE)"
        # Of text, for a literal with a point would be a decimal, which has fewer digits
        reached = f"({number} >= {literal(repr(thresholds[name]))}::DOUBLE)::INTEGER"
        return f"CASE WHEN {column} IS NULL THEN 0 WHEN isfinite({number}) THEN {reached} END"
    # The usual ones first, for each is compared in turn
    values = {"0": "0", "1": "1", **dict.fromkeys(FALSE, "0"), **dict.fromkeys(TRUE, "1")}
    return f"CASE {cases(column, values)} WHEN {column} IS NULL THEN 0 END"


def _masks(form: LogFormat) -> dict[str, str]:
    """Return the mask of each type that stands for behaviors."""
    masks: dict[str, int] = {}
    for k, values in enumerate(form.alternatives):
        for value in values:
            masks[value] = masks.get(value, 0) | 1 << k
    return {value: str(number) for value, number in masks.items()}
