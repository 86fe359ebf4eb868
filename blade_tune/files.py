"""Functions that write, remove and hash files so that a crash at any moment leaves no half-written one."""

import hashlib
import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path

from blade_tune.errors import ConfigError


def write_whole(path: Path, *pieces: bytes | memoryview, flush: bool = True) -> None:
    """Write a file so that a crash or a full disk at any moment leaves the old file or the new one, both complete.

    The content goes to a hidden file next to `path`, which is then renamed.

    Args:
        path: the file; missing folders above it are made.
        pieces: the content, one piece after the other.
        flush: whether the content is forced to disk before the rename. Without that, a power failure may leave an
            empty file, which is good enough for what can be made again.

    Raises:
        ConfigError: `path` is a folder that is not empty, or a folder above it is a file.
        OSError: the file cannot be written.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            if flush:
                os.fsync(file.fileno())
        _rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def make_folder(path: Path) -> None:
    """Make a folder and the missing ones above it.

    Raises:
        ConfigError: the folder or one above it is a file.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ConfigError(
            f"{path}: must be a folder, and is or lies under a file; move that away."
        ) from None


def append_line(descriptor: int, line: bytes) -> None:
    """Append a line to an open file and force it to disk; on failure, leave the file as it was.

    Args:
        descriptor: a file opened to append, which no other process writes to meanwhile.
        line: the line, including its line end.

    Raises:
        OSError: the line cannot be written.
    """
    size = os.fstat(descriptor).st_size
    try:
        left = memoryview(line)
        while left:  # an almost full disk may take only a part of the bytes
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    except BaseException:
        with suppress(OSError):
            os.ftruncate(descriptor, size)
        raise


def remove(path: Path) -> None:
    """Remove the file or the folder at a path, if there is one; what the system refuses to remove stays."""
    try:
        path.unlink(missing_ok=True)
    except OSError:  # a folder, for which Linux and macOS raise different errors
        shutil.rmtree(path, ignore_errors=True)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal digits.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _rename(temporary: Path, path: Path) -> None:
    """Rename a file to its final path, where an empty folder may be replaced."""
    try:
        temporary.replace(path)
    except IsADirectoryError:
        try:
            path.rmdir()
        except OSError:
            raise ConfigError(
                f"{path}: must be a file, and is a folder that holds others; move it away."
            ) from None
        temporary.replace(path)
