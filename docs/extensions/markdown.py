"""Markdown of plain text: what escapes it, and tables."""

import re
from collections.abc import Iterable, Sequence

SPECIAL = re.compile(r"([\\*_{}\[\]<>#|~$&])")


def escaped(text: str) -> str:
    """Return text of which Markdown changes nothing, but for what stands between backticks, which stays code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a backtick without another one
        return SPECIAL.sub(r"\\\1", text).replace("`", "\\`")
    return "`".join(
        SPECIAL.sub(r"\\\1", part) if place % 2 == 0 else part for place, part in enumerate(parts)
    )


def code(value: object) -> str:
    """Return a value as code; in a table too, for a bar in it is escaped."""
    return f"`{value}`".replace("|", "\\|")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows of Markdown as a table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def anchor(heading: str) -> str:
    """Return the anchor of a heading of words, digits, dashes and underscores, as forges have it."""
    return heading.strip("`").lower().replace(" ", "-")


def link(heading: str, page: str = "") -> str:
    """Return a link to a heading, of this page or of another, as code."""
    return f"[{code(heading)}]({page}#{anchor(heading)})"
