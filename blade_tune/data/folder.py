"""Folders and files that appear on disk complete or not at all.

Most are folders of prepared data: NumPy arrays, one file each, and plain facts with the checksums of all in
`contents.json`. They are written under a hidden temporary name and then renamed, so processes may prepare the same data
at once without locks, and a killed process leaves at most a temporary folder, which a later `write` removes.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blade_tune.errors import ConfigError, DataError
from blade_tune.files import sha256

CONTENTS = "contents.json"
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
# No preparation takes so long: a temporary folder this old belongs to a killed process
LEFTOVER_AGE_S = 24 * 3600.0

# Folders that this process has checked: name, size in bytes and time in nanoseconds of each file at that moment.
_checked: dict[Path, list[tuple[str, int, int]]] = {}


def write(
    path: Path,
    arrays: Mapping[str, NDArray[Any]],
    facts: Mapping[str, Any],
    *,
    is_private: bool = False,
) -> None:
    """Write a folder of arrays and facts under a temporary name, then rename it to its final path.

    If another process was first, its folder stays, unless it was written before folders had checksums.

    Args:
        path: the folder's final path.
        arrays: name -> array; each is written to a file `NAME.npy`.
        facts: plain data that JSON can hold.
        is_private: whether only the current user may read the folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path.parent)
    temporary = path.parent / f".{uuid.uuid4().hex}.tmp"
    temporary.mkdir(mode=PRIVATE_FOLDER if is_private else 0o777)
    try:
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array)
        checksums = {name: sha256(temporary / f"{name}.npy") for name in arrays}
        # Through JSON and back, which makes lists of tuples: the checksum is later compared with that of what was read.
        listed = json.loads(json.dumps({"arrays": checksums, "facts": facts}))
        content = json.dumps({**listed, "sha256": _sealing(path, listed)})
        (temporary / CONTENTS).write_text(content, encoding="utf-8")
        for file in temporary.iterdir():
            if is_private:
                file.chmod(PRIVATE_FILE)
            _flush(file)
        _rename(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read(path: Path, *, anew: bool = False) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read a folder that `write` wrote, and check it against its checksums.

    A process checks a folder once, and again when a file's size or modification time has changed.

    Args:
        path: the folder.
        anew: whether to check the folder even if this process has checked it already.

    Returns:
        The arrays by name, mapped from disk and read-only, and the facts.

    Raises:
        DataError: the folder cannot be read, a file was removed or changed since, or the folder was renamed.
    """
    try:
        contents = _contents(path)
        array_files = {name: path / f"{name}.npy" for name in contents["arrays"]}
        seen = []
        for file in (path / CONTENTS, *array_files.values()):
            status = file.stat()
            seen.append((file.name, status.st_size, status.st_mtime_ns))
        if anew or _checked.get(path) != seen:
            _check(path, contents)
            _checked[path] = seen
        arrays = {name: np.load(file, mmap_mode="r") for name, file in array_files.items()}
        return arrays, contents["facts"]
    except PermissionError as error:
        raise DataError(
            f"{path}: may be read only by the user who prepared it ({error.strerror}); use another --results."
        ) from None
    except (OSError, EOFError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{path}: prepared data must be whole ({error}); delete this folder, it is built again."
        ) from None


def has_checksums(path: Path) -> bool:
    """Return whether a folder exists and was written since folders have checksums; only `read` compares them.

    A folder whose contents cannot be read counts as one with checksums, so that `read` reports what is wrong with it.
    """
    if not path.exists():
        return False
    try:
        return "sha256" in _contents(path)
    except (OSError, ValueError, TypeError, RecursionError):
        return True


def glance(path: Path) -> tuple[dict[str, int], dict[str, Any], int]:
    """Look at a folder that `write` wrote without checking it.

    Returns:
        The length of each array by name, the facts, and the size of all files in bytes.

    Raises:
        DataError: the folder cannot be read.
    """
    try:
        contents = _contents(path)
        lengths = {
            name: len(np.load(path / f"{name}.npy", mmap_mode="r")) for name in contents["arrays"]
        }
        return lengths, contents["facts"], sum(file.stat().st_size for file in path.iterdir())
    except (OSError, EOFError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read ({error}).") from None


def keep_private(path: Path) -> None:
    """Make a folder that only the current user may open, or restrict one that earlier versions made for all users."""
    path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    with suppress(PermissionError):  # the folder belongs to another user
        path.chmod(PRIVATE_FOLDER)


def _contents(path: Path) -> dict[str, Any]:
    return dict(json.loads((path / CONTENTS).read_text(encoding="utf-8")))


def _check(path: Path, contents: Mapping[str, Any]) -> None:
    if "sha256" not in contents:  # written before folders had checksums
        return
    listed = {name: content for name, content in contents.items() if name != "sha256"}
    if contents["sha256"] != _sealing(path, listed):
        raise ValueError(f"{CONTENTS} was changed, or is another folder's")
    for name, checksum in contents["arrays"].items():
        if sha256(path / f"{name}.npy") != checksum:
            raise ValueError(f"{name}.npy was changed")


def _sealing(path: Path, listed: Mapping[str, Any]) -> str:
    """Return a checksum of what a folder lists and of its name, which is a hash of what the folder was built from."""
    return hashlib.sha256(json.dumps([path.name, listed], sort_keys=True).encode()).hexdigest()


def check_place(folder: Path, marker: str) -> None:
    """Check, before any work is done, that a finished folder can be put at a path.

    Args:
        folder: the path.
        marker: name of the file that shows that an existing folder was written by this program and may be replaced.

    Raises:
        ConfigError: the path is a file, is a folder of other files, or its parent cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: must be a folder, and is a file.")
    if folder.exists() and any(folder.iterdir()) and not (folder / marker).is_file():
        raise ConfigError(
            f"{folder}: holds other files, and the whole folder would be replaced; give a new one."
        )
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryDirectory(dir=folder.parent).cleanup()


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn an OSError of the block into a ConfigError that names the folder."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({error.strerror}).") from None


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a hidden temporary path for a file; it is renamed to `path` when the block ends, or removed if it fails.

    Raises:
        ConfigError: the file cannot be written.
    """
    new = path.with_name(f".{path.name}.{uuid.uuid4().hex}.new")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield new
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)


def replace(new: Path, final: Path) -> None:
    """Rename a finished folder to its final path; the old folder there is removed only after that.

    If several processes do so at once, the folder of the last one stays.

    Raises:
        OSError: the folder cannot be renamed; the old one is put back.
    """
    olds: list[Path] = []
    while True:
        # Move the older folder away, unless there is none or another process has moved it
        old = final.with_name(f".{final.name}.{uuid.uuid4().hex}")
        with suppress(FileNotFoundError):
            final.rename(old)
            olds.append(old)
        try:
            new.rename(final)
            break
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY):  # another process was first
                continue
            if olds and not final.exists():  # a failure must not leave less than there was before
                olds[-1].rename(final)
            raise
    for old in olds:
        shutil.rmtree(old, ignore_errors=True)


def _rename(temporary: Path, path: Path) -> None:
    """Rename a folder, unless another process has put a folder with checksums there first."""
    try:
        temporary.rename(path)
    except OSError:
        if not path.is_dir():
            raise
        if not has_checksums(path):  # otherwise another process wrote the same content first
            replace(temporary, path)


def _flush(file: Path) -> None:
    """Force a file to disk, which must happen before its folder gets its final name."""
    with file.open("rb") as stream:
        os.fsync(stream.fileno())


def _remove_leftovers(parent: Path) -> None:
    for folder in parent.glob(".*.tmp"):
        try:
            if time.time() - folder.stat().st_mtime > LEFTOVER_AGE_S:
                shutil.rmtree(folder, ignore_errors=True)
        except FileNotFoundError:  # another process removed it first
            continue
