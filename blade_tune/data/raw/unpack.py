"""Unpacking of archives and compressed files into a scratch folder.

Files come from anywhere, so an archive that is damaged, that names files outside of itself, or that unpacks to far more
bytes than a log would is refused.
"""

import gzip
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeVar

from backports import zstd

from blade_tune.errors import DataError

# Readers of compressed files; both formats have checksums, which the readers compare
COMPRESSED: dict[str, Callable[[Path], Any]] = {".gz": gzip.GzipFile, ".zst": zstd.ZstdFile}
BROKEN = (
    *(EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError, gzip.BadGzipFile, zipfile.BadZipFile),
    # zipfile raises these for what it does not support.
    *(NotImplementedError, RuntimeError, ValueError, struct.error),
)
CHUNK_BYTES = 2**22
# Unpacked to packed bytes: logs have 3 to 30, a file made to fill a disk 1,000 and more
MAX_RATIO = 250
ALWAYS_BYTES = 2**30  # allowed at any ratio, for so little fills no disk

FileEntry = TypeVar("FileEntry")


@dataclass(frozen=True)
class PlainFile:
    """An uncompressed file, and the name by which errors call it, which may be that of its archive."""

    path: Path
    name: str


def find(source: Path, wanted: str | None, scratch: Path) -> PlainFile:
    """Return the plain file that `source` is or holds, unpacked if necessary.

    Args:
        source: a file, compressed or not; a zip archive; or a folder.
        wanted: name of the file in an archive or a folder; an archive of a single file needs none.
        scratch: folder in which a folder `unpacked` is made for unpacked files.

    Raises:
        DataError: the file is missing, damaged or suspiciously large, or the archive names files outside of itself.
    """
    if not source.exists():
        raise DataError(f"{source}: no such file or folder.")
    scratch = scratch / "unpacked"
    scratch.mkdir()
    if source.is_dir():
        return _plain(_found_in_folder(source, wanted), scratch)
    if source.suffix.lower() == ".zip":
        path = _from_zip(source, wanted, scratch)
        return PlainFile(path, f"{source}: {path.name}")
    return _plain(source, scratch)


def _plain(path: Path, scratch: Path) -> PlainFile:
    opened = COMPRESSED.get(path.suffix.lower())
    if opened is None:
        return PlainFile(path, str(path))
    target = scratch / path.stem
    with _reading(path), opened(path) as packed:
        _copy(packed, target, path, path.stat().st_size)
    return PlainFile(target, str(path))


def _found_in_folder(folder: Path, wanted: str | None) -> Path:
    if wanted is None:
        raise DataError(f"{folder}: must be a file, and is a folder.")
    files = sorted(path for path in folder.rglob(wanted) if path.is_file())
    return _only(files, wanted, folder)


def _from_zip(archive: Path, wanted: str | None, scratch: Path) -> Path:
    with _reading(archive), zipfile.ZipFile(archive) as opened:
        members = [member for member in opened.infolist() if not member.is_dir()]
        for member in members:
            if not _is_inside(member.filename):
                raise DataError(
                    f"{archive}: must hold files inside itself only, got {member.filename!r}."
                )
        if wanted is not None:
            members = [m for m in members if PurePosixPath(m.filename).name == wanted]
        member = _only(members, wanted or "one file", archive)
        target = scratch / PurePosixPath(member.filename).name
        with opened.open(member) as packed:
            _copy(packed, target, archive, member.compress_size)
    return target


def _is_inside(name: str) -> bool:
    """Return whether a name in an archive leads to no place outside of the folder to which it is unpacked."""
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.parts or path.is_absolute():
        return False
    has_drive = ":" in path.parts[0]  # of Windows
    return not has_drive and ".." not in path.parts


def _copy(packed: IO[bytes], target: Path, source: Path, packed_bytes: int) -> None:
    """Write what a packed stream holds to a file.

    Raises:
        DataError: the stream holds more than MAX_RATIO times its packed size and more than ALWAYS_BYTES.
    """
    max_bytes = max(ALWAYS_BYTES, MAX_RATIO * packed_bytes)
    written = 0
    with target.open("wb") as file:
        while chunk := packed.read(CHUNK_BYTES):
            written += len(chunk)
            if written > max_bytes:
                raise DataError(
                    f"{source}: must unpack to at most {MAX_RATIO} times its size or {ALWAYS_BYTES:,} bytes, and is "
                    "more; unpack it yourself where that is meant."
                )
            file.write(chunk)


def _only(candidates: list[FileEntry], wanted: str, source: Path) -> FileEntry:
    """Return the only candidate; several are as wrong as none, for nothing says which one is meant."""
    if len(candidates) != 1:
        raise DataError(f"{source}: must hold {wanted} once, and holds it {len(candidates)} times.")
    return candidates[0]


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except BROKEN as error:
        raise DataError(f"{path}: is cut or broken ({error}); get it again.") from None
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read or unpacked ({error.strerror or error})."
        ) from None
