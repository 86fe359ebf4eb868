"""What was measured once on a data set and is kept: read as it was written, or measured again."""

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
    """Write arrays and facts as a folder, with their digest, in place of one that is damaged.

    Raises:
        ConfigError: a file stands in the place of a folder.
        OSError: it cannot be written.
    """
    make_folder(path.parent)
    if path.exists() and not is_whole(path):
        remove(path)
    folder.write(path, arrays, {"facts": dict(facts), "digest": digest.content_hash(arrays, facts=facts)})


def find(path: Path, read: Callable[[Arrays, Mapping[str, Any]], T]) -> T | None:
    """What was kept at a path; None where nothing was, or where it is damaged, with a warning.

    Args:
        path: the folder.
        read: makes of arrays and facts what they stand for; may fail where it cannot.
    """
    if not path.exists():
        return None
    try:
        return read(*_verified(path))
    except (DataError, ValueError, TypeError, KeyError, AttributeError):
        log.warning("%s: is not as it was written and is not used; it is measured anew where it is asked for", path)
        return None


def is_whole(path: Path) -> bool:
    """Whether a folder that was kept is as it was written."""
    try:
        _verified(path)
    except DataError:
        return False
    return True


def _verified(path: Path) -> tuple[Arrays, Mapping[str, Any]]:
    """Arrays and facts; those of an earlier version have no digest.

    Raises:
        DataError: they are not as they were written.
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
