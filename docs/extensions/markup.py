"""Markdown of plain text: what escapes it, and tables."""

import re
from collections.abc import Iterable, Sequence

SPECIAL = re.compile(r"([\\*_{}\[\]<>#~$&])")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")


def escaped(text: str) -> str:
    """Return text of which Markdown changes nothing, but for code between backticks; flags become code too."""
    if text.count("`") % 2:  # one of them is without another
        return SPECIAL.sub(r"\\\1", text).replace("`", "\\`")
    parts = text.split("`")
    parts[::2] = [FLAG.sub(r"`\g<0>`", SPECIAL.sub(r"\\\1", part)) for part in parts[::2]]
    return "`".join(parts)


def code(value: object) -> str:
    """Return a value as code."""
    return f"`{value}`"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows of Markdown as a table."""
    cells = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    lines = [heads, ["---"] * len(heads), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def anchor(heading: str) -> str:
    """Return the anchor of a heading of words, digits, dashes and underscores, as forges have it."""
    return heading.strip("`").lower().replace(" ", "-")


def link(heading: str, page: str = "") -> str:
    """Return a link to a heading, of this page or of another, as code."""
    return f"[{code(heading)}]({page}#{anchor(heading)})"
