"""Guarding of text in CSV files, so that a spreadsheet that opens one takes no text for a formula.

A spreadsheet may compute what begins with =, or with +, - or @ before more than a word or a number, or with a tab or a
line end. Such text gets an apostrophe in front, and so does text that has apostrophes before such a beginning already:
removing one apostrophe always restores the text.
"""

import re
from typing import Any

_MARKS, _WIDE_MARKS = "-+@", "\uff0d\uff0b\uff20"
# The regular expressions of DuckDB and of Python both read this pattern, and must agree on it.
FORMULA = f"'*([=\uff1d\t\r\n]|[{_MARKS}{_WIDE_MARKS}].*[^A-Za-z0-9_.-])"
_FORMULA = re.compile(FORMULA, re.DOTALL)


def cell(value: Any) -> Any:
    """Return a value as a CSV file may hold it: text that would be a formula gets an apostrophe in front."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def text_of(cell: str) -> str:
    """Return the text that `cell` made a cell from."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def is_formula(sql: str) -> str:
    """Return an SQL condition: whether the text of an SQL expression would be a formula."""
    pattern = "(?s)^" + FORMULA.replace("'", "''")
    return f"regexp_matches({sql}, '{pattern}')"


def guarded(sql: str) -> str:
    """Return an SQL expression: the text of an SQL expression with the guard that `cell` would add."""
    return f"CASE WHEN {is_formula(sql)} THEN '''' || {sql} ELSE {sql} END"
