"""Whether the first line of separated text is a header."""

import re
from collections.abc import Sequence

from blade_tune.data.raw.look.words import NAMES, rank

NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
DATE = re.compile(r"\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})(?!\d).*")
ENOUGH = 2_000  # rows


def is_header(cells: Sequence[str], rows: Sequence[Sequence[str | None]]) -> bool:
    """Return whether a first line names the columns of the rows below it.

    It does if a cell is a name that logs give to columns and no value of its column; it does not if a cell is a number
    or a date, or is a value of its column; else it does.
    """
    some = rows[:ENOUGH]
    below = [{row[place] for row in some} for place in range(len(cells))]
    again = [cell in values for cell, values in zip(cells, below, strict=True)]
    for cell, is_again in zip(cells, again, strict=True):
        is_named = any(rank(cell, kind) is not None for kind in NAMES)
        if is_named and not is_again:
            return True
    if any(NUMBER.fullmatch(cell) or DATE.fullmatch(cell) for cell in cells):
        return False
    return not any(is_again for is_again, cell in zip(again, cells, strict=True) if cell)
