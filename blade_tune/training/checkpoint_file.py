"""The file of a checkpoint, without regard to what is in its archive, so that reading commands can check one.

A file is the line `HEAD`, the SHA-256 of the rest, and the archive.
"""

import hashlib
from pathlib import Path

from blade_tune.errors import DamagedFileError
from blade_tune.files import write_whole

HEAD = b"blade-tune checkpoint 1\n"  # the digest follows it, and then the archive
DIGEST_BYTES = 32


def write_archive(path: Path, archive: bytes | memoryview) -> None:
    """Write a checkpoint's file; a crash or a full disk at any moment leaves either the old file or the new one.

    Raises:
        OSError: the file cannot be written.
    """
    write_whole(path, HEAD, hashlib.sha256(archive).digest(), archive)


def read_archive(path: Path) -> bytes:
    """Return the archive in a checkpoint's file, after verifying its checksum.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not as it was written.
    """
    content = path.read_bytes()
    if not content.startswith(HEAD):
        raise ValueError("it does not begin as those of this version do")
    start = len(HEAD) + DIGEST_BYTES
    digest = content[len(HEAD) : start]
    archive = content[start:]
    if hashlib.sha256(archive).digest() != digest:
        raise ValueError("its checksum is another")
    return archive


def verify_checkpoint(path: Path) -> None:
    """Check that a checkpoint is as it was written, by its checksum, without loading it.

    Raises:
        DamagedFileError: the file cannot be read, or is not as it was written.
    """
    try:
        read_archive(path)
    except (OSError, ValueError) as error:
        raise damaged(path, error) from None


def damaged(path: Path, error: Exception) -> DamagedFileError:
    """Return the error that says why a checkpoint cannot be used."""
    reason = error if isinstance(error, OSError | ValueError) else type(error).__name__
    return DamagedFileError(
        f"{path}: must be a checkpoint as it was written, and is not ({reason})."
    )
