"""How files say which behaviors are auxiliary, that is, no targets: null for none, one by itself, several as a list.

This is so in study files, in `preparation.json`, in bundles, and in what is hashed, by names or by columns.
"""

from collections.abc import Sequence
from typing import Any

Auxiliary = str | Sequence[str] | None


def auxiliaries(written: Any) -> tuple[Any, ...]:
    """Return each of the behaviors that a file calls auxiliary."""
    if written is None:
        return ()
    return tuple(written) if isinstance(written, list | tuple) else (written,)


def as_written(auxiliary: Sequence[Any]) -> Any:
    """Return auxiliary behaviors as files say them."""
    return list(auxiliary) if len(auxiliary) > 1 else next(iter(auxiliary), None)
