"""Storage of measurements of a data set, which are slow to make and are therefore kept in folders.

A damaged folder is treated as a missing one: the measurement is made again and takes its place.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from blade_tune.data import digest, folder
from blade_tune.errors import DamagedFileError, DataError
from blade_tune.files import make_folder, remove

log = logging.getLogger(__name__)

Arrays = Mapping[str, NDArray[Any]]
T = TypeVar("T")


def keep(path: Path, arrays: Arrays, facts: Mapping[str, Any]) -> None:
    """Write a measurement to a folder with a digest of its content; a damaged folder at that path is replaced.

    Args:
        path: the folder.
        arrays: name -> array.
        facts: plain data that JSON can hold.

    Raises:
        ConfigError: a folder above `path` is a file.
        OSError: the folder cannot be written.
    """
    make_folder(path.parent)
    if path.exists() and not is_whole(path):
        remove(path)
    folder.write(
        path, arrays, {"facts": dict(facts), "digest": digest.content_hash(arrays, facts=facts)}
    )


def find(path: Path, read: Callable[[Arrays, Mapping[str, Any]], T]) -> T | None:
    """Return a kept measurement, or None if there is none or it is damaged, which is logged as a warning.

    Args:
        path: the folder.
        read: converts arrays and facts to the result; if it raises, the folder counts as damaged.
    """
    if not path.exists():
        return None
    try:
        return read(*_verified(path))
    except (DataError, ValueError, TypeError, KeyError, AttributeError):
        log.warning(
            "%s: is not as it was written and is not used; it is measured anew where it is asked for",
            path,
        )
        return None


def is_whole(path: Path) -> bool:
    """Return whether a folder is unchanged since `keep` wrote it."""
    try:
        _verified(path)
    except DataError:
        return False
    return True


def _verified(path: Path) -> tuple[Arrays, Mapping[str, Any]]:
    """Read arrays and facts, and compare them with their digest if they have one; earlier versions wrote none.

    Raises:
        DataError: the content has changed since it was written.
    """
    try:
        arrays, facts = folder.read(path)
        if not {"facts", "digest"} & facts.keys():
            return arrays, facts
        if facts["digest"] == digest.content_hash(arrays, facts=facts["facts"]):
            return arrays, facts["facts"]
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    raise DamagedFileError(f"{path}: is not as it was written.")
