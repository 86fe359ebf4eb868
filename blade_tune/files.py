"""Files on disk: written whole or not at all, and known by their SHA-256."""

import hashlib
import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path

from blade_tune.errors import ConfigError


def write_whole(path: Path, *pieces: bytes | memoryview, flush: bool = True) -> None:
    """Write a file so that a crash or a full disk at any moment leaves the old one, or none, or the new one.

    Args:
        path: the file; folders above it are made.
        pieces: its content, one after the other.
        flush: have it on disk before it gets its name; not needed where it can be made again.

    Raises:
        ConfigError: a folder that is not empty stands in its place, or a file in that of a folder above.
        OSError: it cannot be written.
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
    """Make a folder and those above it.

    Raises:
        ConfigError: a file stands in the place of one of them.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ConfigError(f"{path}: must be a folder, and is or lies under a file; move that away.") from None


def append_line(descriptor: int, line: bytes) -> None:
    """Add a line to the end of an open file and have it on disk, or leave the file as it was.

    Args:
        descriptor: of a file that nobody else writes to meanwhile, opened to append.
        line: with its end.

    Raises:
        OSError: it cannot be written.
    """
    size = os.fstat(descriptor).st_size
    try:
        left = memoryview(line)
        while left:  # a disk that is almost full takes a part
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    except BaseException:
        with suppress(OSError):
            os.ftruncate(descriptor, size)
        raise


def remove(path: Path) -> None:
    """Have nothing at a path, whatever stands there; what the system refuses to remove is left."""
    try:
        path.unlink(missing_ok=True)
    except OSError:  # a folder, which Linux and macOS refuse in different words
        shutil.rmtree(path, ignore_errors=True)


def sha256(path: Path) -> str:
    """The digest of a file's content.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _rename(temporary: Path, path: Path) -> None:
    """Give a file its name; an empty folder in its place is no loss."""
    try:
        temporary.replace(path)
    except IsADirectoryError:
        try:
            path.rmdir()
        except OSError:
            raise ConfigError(f"{path}: must be a file, and is a folder that holds others; move it away.") from None
        temporary.replace(path)
