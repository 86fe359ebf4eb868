"""Folders that exist whole or not at all: of arrays and plain facts, and of finished files."""

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
import torch
from numpy.typing import NDArray
from torch import Tensor

from blade_tune.errors import ConfigError, DataError

CONTENTS = "contents.json"
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
LEFTOVER_AGE_S = 24 * 3600.0  # no preparation takes so long: a temporary folder this old belongs to a killed process

_checked: dict[Path, list[tuple[str, int, int]]] = {}  # by this process: size and time of each file then


def write(
    path: Path, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any], *, is_private: bool = False
) -> None:
    """Write the folder beside its final place, then rename it; where another process was first, its folder stays.

    One that was written before folders had checksums is replaced.

    Args:
        path: its final place.
        arrays: a file each.
        facts: plain ones.
        is_private: whether nobody else may read it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path.parent)
    temporary = path.parent / f".{uuid.uuid4().hex}.tmp"
    temporary.mkdir(mode=PRIVATE_FOLDER if is_private else 0o777)
    try:
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array)
        checksums = {name: _checksum(temporary / f"{name}.npy") for name in arrays}
        listed = json.loads(json.dumps({"arrays": checksums, "facts": facts}))  # as it is read
        content = json.dumps({**listed, "sha256": _sealing(path, listed)})
        (temporary / CONTENTS).write_text(content, encoding="utf-8")
        for file in temporary.iterdir():
            file.chmod(PRIVATE_FILE) if is_private else None
            _flush(file)
        _rename(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read(path: Path, *, anew: bool = False) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays, mapped from disk and read-only, and the facts; checked against their checksums.

    A process checks a folder once, and again when a file has another size or time.

    Args:
        path: the folder.
        anew: check it whether or not this process has.

    Raises:
        DataError: a file was removed, cut or changed since, or another folder stands in its place.
    """
    try:
        contents = _contents(path)
        files = [path / CONTENTS, *(path / f"{name}.npy" for name in contents["arrays"])]
        seen = [(file.name, *_size_and_time(file)) for file in files]
        if anew or _checked.get(path) != seen:
            _check(path, contents)
            _checked[path] = seen
        arrays = {name: np.load(path / f"{name}.npy", mmap_mode="r") for name in contents["arrays"]}
        return arrays, contents["facts"]
    except PermissionError as error:
        raise DataError(
            f"{path}: may be read only by whoever prepared it ({error.strerror}); use another --results."
        ) from None
    except (OSError, EOFError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{path}: prepared data must be whole ({error}); delete this folder, it is built again."
        ) from None


def has_checksums(path: Path) -> bool:
    """Whether a folder is there and was not written before folders had checksums; `read` says whether it is whole."""
    if not path.exists():
        return False
    try:
        return "sha256" in _contents(path)
    except (OSError, ValueError, TypeError, RecursionError):
        return True


def keep_private(path: Path) -> None:
    """Make a folder of folders that nobody else may look into; those of before were open to everybody."""
    path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    with suppress(PermissionError):  # it is somebody else's
        path.chmod(PRIVATE_FOLDER)


def _contents(path: Path) -> dict[str, Any]:
    return dict(json.loads((path / CONTENTS).read_text(encoding="utf-8")))


def _check(path: Path, contents: Mapping[str, Any]) -> None:
    if "sha256" not in contents:  # written before there were any
        return
    listed = {name: content for name, content in contents.items() if name != "sha256"}
    if contents["sha256"] != _sealing(path, listed):
        raise ValueError(f"{CONTENTS} was changed, or is another folder's")
    for name, checksum in contents["arrays"].items():
        if _checksum(path / f"{name}.npy") != checksum:
            raise ValueError(f"{name}.npy was changed")


def _sealing(path: Path, listed: Mapping[str, Any]) -> str:
    """Checksum of what a folder lists, and of its name, which says what it is made of."""
    return hashlib.sha256(json.dumps([path.name, listed], sort_keys=True).encode()).hexdigest()


def _checksum(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _size_and_time(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns


def tensor(path: Path, name: str) -> Tensor:
    """One array as a tensor on its mapped file: processes share its memory, and whoever writes to it gets a copy."""
    return torch.from_numpy(np.load(path / f"{name}.npy", mmap_mode="c"))


def check_place(folder: Path, marker: str) -> None:
    """Refuse, before any work is done, a place where no folder of ours can be put.

    Args:
        folder: the place.
        marker: the file by which an older one is known.

    Raises:
        ConfigError: it is a file, it holds anything but an older one, or its parent cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: must be a folder, and is a file.")
    if folder.exists() and any(folder.iterdir()) and not (folder / marker).is_file():
        raise ConfigError(f"{folder}: holds other files, and the whole folder would be replaced; give a new one.")
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryDirectory(dir=folder.parent).cleanup()


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn the system's refusal to write into one line."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({error.strerror}).") from None


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A hidden place of its own to write a file at; it gets its name in the end, or is gone where anything failed."""
    new = path.with_name(f".{path.name}.{uuid.uuid4().hex}.new")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield new
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)


def replace(new: Path, final: Path) -> None:
    """Put a finished folder in its place; what stood there is gone only when the new one stands.

    Of several processes that do so at once the last one's folder stays.
    """
    olds: list[Path] = []
    while True:
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
            if olds and not final.exists():
                olds[-1].rename(final)
            raise
    for old in olds:
        shutil.rmtree(old, ignore_errors=True)


def _rename(temporary: Path, path: Path) -> None:
    try:
        temporary.rename(path)
    except OSError:
        if not path.is_dir():
            raise
        if not has_checksums(path):
            replace(temporary, path)


def _flush(file: Path) -> None:
    """Have the file on disk before its folder gets its name."""
    with file.open("rb") as stream:
        os.fsync(stream.fileno())


def _remove_leftovers(parent: Path) -> None:
    for folder in parent.glob(".*.tmp"):
        try:
            if time.time() - folder.stat().st_mtime > LEFTOVER_AGE_S:
                shutil.rmtree(folder, ignore_errors=True)
        except FileNotFoundError:  # another process removed it first
            continue
