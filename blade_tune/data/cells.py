"""Text in the cells of CSV files, which spreadsheets open: none of it is a formula there.

What a spreadsheet would compute begins with =, or with +, - or @ before more than a word or a number, or with a tab or
a line end. It gets an apostrophe in front, and one more where it has some already, so that taking one away gives the
text again.
"""

import re
from typing import Any

_MARKS, _WIDE_MARKS = "-+@", "\uff0d\uff0b\uff20"
FORMULA = f"'*([=\uff1d\t\r\n]|[{_MARKS}{_WIDE_MARKS}].*[^A-Za-z0-9_.-])"  # of the database and of Python alike
_FORMULA = re.compile(FORMULA, re.DOTALL)


def cell(value: Any) -> Any:
    """A value of a CSV file; text that would be a formula is guarded."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def text_of(cell: str) -> str:
    """The text that a cell stands for."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def is_formula(sql: str) -> str:
    """SQL of whether a text would be a formula."""
    pattern = "(?s)^" + FORMULA.replace("'", "''")
    return f"regexp_matches({sql}, '{pattern}')"


def guarded(sql: str) -> str:
    """SQL of a text as cells have it."""
    return f"CASE WHEN {is_formula(sql)} THEN '''' || {sql} ELSE {sql} END"
