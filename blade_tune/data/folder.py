"""Folders that exist whole or not at all: of arrays and plain facts, and of finished files."""

import errno
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
LEFTOVER_AGE_S = 24 * 3600.0  # no preparation takes so long: a temporary folder this old belongs to a killed process


def write(path: Path, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
    """Write the folder beside its final place, then rename it; where another process was first, its folder stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path.parent)
    temporary = path.parent / f".{uuid.uuid4().hex}.tmp"
    temporary.mkdir()
    try:
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array)
        listed = {"arrays": list(arrays), "facts": facts}
        (temporary / CONTENTS).write_text(json.dumps(listed), encoding="utf-8")
        for file in temporary.iterdir():
            _flush(file)
        _rename(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays, mapped from disk and read-only, and the facts.

    Raises:
        DataError: a file was removed or cut since.
    """
    try:
        contents = json.loads((path / CONTENTS).read_text(encoding="utf-8"))
        arrays = {name: np.load(path / f"{name}.npy", mmap_mode="r") for name in contents["arrays"]}
        return arrays, contents["facts"]
    except (OSError, EOFError, ValueError) as error:
        raise DataError(
            f"{path}: prepared data must be whole ({error}); delete this folder, it is built again."
        ) from None


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
    """A hidden place to write a file at, which gets its name in the end, or is gone where anything failed."""
    new = path.with_name(f".{path.name}.{uuid.uuid4().hex}")  # another process may write the same file
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
