"""Ledger of the test rows that retrained bundles were judged on, beside the bundles: no study or database is needed."""

import json
from pathlib import Path
from typing import Any

from blade_tune.data.ledger import Head, Ledger
from blade_tune.errors import DataError

FILE = "retrained.jsonl"


def ledger_beside(folder: Path) -> Ledger:
    """Return the ledger of a folder of bundles, after a check that it holds the lines that these name.

    A bundle remembers the line by which its test rows were opened, so that a removed line is noticed as long as the
    bundle is there.

    Raises:
        DataError: a line that a bundle names is gone, or was changed.
    """
    ledger = Ledger(folder / FILE)
    for path in sorted(folder.glob("*/provenance.json")):
        line = _line(path)
        named = str(line.get("file"))
        if named == str(ledger.path.resolve()) and not ledger.holds(_head(line, path)):
            raise DataError(
                f"{ledger.path}: must hold line {line['lines']} as {path.parent} names it, and does not: the ledger of "
                "test evaluations was cut or replaced. Put a copy of it back."
            )
    return ledger


def _line(path: Path) -> dict[str, Any]:
    """Return what a bundle says of its line; {} where it says nothing, or cannot be read."""
    try:
        line = json.loads(path.read_text(encoding="utf-8"))["ledger"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return dict(line) if isinstance(line, dict) else {}


def _head(line: dict[str, Any], path: Path) -> Head:
    try:
        return Head(int(line["lines"]), str(line["hash"]))
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{path}: must name a line of the ledger, and does not.") from None
