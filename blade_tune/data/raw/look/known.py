"""Known public logs among what is looked at, by the names of their files and columns."""

from fnmatch import fnmatchcase
from pathlib import Path

from blade_tune.data.raw.datasets import KNOWN_LOGS
from blade_tune.data.raw.find import names_of
from blade_tune.data.raw.look.peek import Peek
from blade_tune.data.raw.settings import LogFormat


def known_as(source: Path, rows: Peek | None = None) -> list[str]:
    """Return the names of the known logs whose files a source has.

    Args:
        source: what is looked at.
        rows: its first rows, whose columns must be the log's; None where they cannot be read.
    """
    names = names_of(source)
    found = []
    for log, known in KNOWN_LOGS.items():
        for version in known.by_version:
            forms = known.forms(version)
            is_there = all(any(fnmatchcase(name, file) for name in names) for file in forms)
            if is_there and (rows is None or _fits(rows, next(iter(forms.values())))):
                found.append(log)
    return list(dict.fromkeys(found))


def advice_of(log: str, source: Path) -> str:
    """Return the sentence that names the command of a known log."""
    return f"if it is that log, `blade-tune data prepare {log} --source {source}` knows what its columns mean."


def _fits(rows: Peek, form: LogFormat) -> bool:
    if form.header:
        return len(form.header) == len(rows.columns)
    # Of rows in a list, only the list is a column before they are unpacked
    used = {form.rows if name.startswith(f"{form.rows}.") else name for name in form.used}
    return used <= rows.columns.keys()
