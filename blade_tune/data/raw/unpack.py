"""Unpacking of archives and compressed files into a scratch folder.

Files come from anywhere, so an archive that is damaged, that names files outside of itself, or that unpacks to far more
bytes than a log would is refused.
"""

import bz2
import gzip
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePath, PurePosixPath
from typing import IO, Any

from backports import zstd

from blade_tune.errors import DataError

# Readers of compressed files; all formats have checksums, which the readers compare
COMPRESSED: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.GzipFile,
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": zstd.ZstdFile,
}
# Short names of compressed tar archives
TAR_COMPRESSED: dict[str, Callable[[Path], Any]] = {".tgz": gzip.GzipFile, ".tbz2": bz2.BZ2File}
TARS = (".tar", *TAR_COMPRESSED)
BROKEN = (
    tarfile.TarError,
    *(EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError, gzip.BadGzipFile, zipfile.BadZipFile),
    # zipfile raises these for what it does not support.
    *(NotImplementedError, RuntimeError, ValueError, struct.error),
)
CHUNK_BYTES = 2**22
# Unpacked to packed bytes: logs have 3 to 30, a file made to fill a disk 1,000 and more
MAX_RATIO = 250
ALWAYS_BYTES = 2**30  # allowed at any ratio, for so little fills no disk


@dataclass(frozen=True)
class PlainFile:
    """An uncompressed file, and the name by which errors call it, which may be that of its archive."""

    path: Path
    name: str
    # Columns whose value is that of the file's folder, `day=2026-03-01`
    partition: Mapping[str, str] = field(default_factory=dict)


def unpacked(path: Path, wanted: Sequence[str], folder: Path) -> list[PlainFile]:
    """Return the plain files that a file is or holds, written to a folder if necessary.

    Args:
        path: a file, compressed or not, or an archive.
        wanted: names of files in an archive, or patterns of names, each of one file; an archive of a single file needs
            none.
        folder: an empty folder for what is unpacked.

    Raises:
        DataError: the file is damaged or suspiciously large, or the archive names files outside of itself.
    """
    suffix = path.suffix.lower()
    if suffix == ".zip":
        return [
            PlainFile(inner, f"{path}: {inner.name}") for inner in _from_zip(path, wanted, folder)
        ]
    if is_tar(path):
        return [
            PlainFile(inner, f"{path}: {inner.name}") for inner in _from_tar(path, wanted, folder)
        ]
    opened = COMPRESSED.get(suffix)
    if opened is None:
        return [PlainFile(path, str(path))]
    target = folder / path.stem
    with _reading(path), opened(path) as packed:
        _copy(packed, target, path, path.stat().st_size)
    return [PlainFile(target, str(path))]


def names_in(path: Path) -> list[str]:
    """Return the names of the files that a file is or holds, without endings that say how one is compressed."""
    if path.suffix.lower() == ".zip":
        with _reading(path), zipfile.ZipFile(path) as archive:
            members = [PurePosixPath(m.filename) for m in archive.infolist() if not m.is_dir()]
    elif is_tar(path):
        with _tar(path) as archive:
            members = [PurePosixPath(member.name) for member in archive if member.isfile()]
    else:
        return [plain_name(path.name)]
    return [member.name for member in members if not is_hidden(member)]


def plain_name(name: str) -> str:
    """Return the name of a file without the ending that says how it is compressed."""
    stem, dot, ending = name.rpartition(".")
    return stem if f"{dot}{ending}".lower() in COMPRESSED else name


def is_archive(path: Path) -> bool:
    """Return whether a file is an archive by its name."""
    return path.suffix.lower() == ".zip" or is_tar(path)


def head(path: Path, num_bytes: int) -> tuple[str, bytes]:
    """Return the name of the plain file that a file is or holds, and its first bytes, read without its rest.

    Args:
        path: a file, compressed or not, or an archive; of a tar archive, its first file is taken for the only one.
        num_bytes: most bytes.

    Raises:
        DataError: what was read is damaged, or an archive holds no file or names one outside of itself.
    """
    suffix = path.suffix.lower()
    with _reading(path):
        if suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                names = [m.filename for m in archive.infolist() if not m.is_dir()]
                found = [name for name in names if _is_wanted(name, (), path)]
                (name,) = _once_each(found, (), path)
                with archive.open(name) as packed:
                    return PurePosixPath(name).name, packed.read(num_bytes)
        if is_tar(path):
            opened = COMPRESSED.get(suffix) or TAR_COMPRESSED.get(suffix, _as_it_is)
            with opened(path) as packed, tarfile.open(fileobj=packed, mode="r|") as members:
                for member in members:
                    content = members.extractfile(member) if member.isreg() else None
                    if content is not None and _is_wanted(member.name, (), path):
                        return PurePosixPath(member.name).name, content.read(num_bytes)
            raise DataError(f"{path}: must hold one file once, and holds it 0 times.")
        with COMPRESSED.get(suffix, _as_it_is)(path) as packed:
            return path.stem if suffix in COMPRESSED else path.name, packed.read(num_bytes)


def is_tar(path: Path) -> bool:
    """Return whether a file is a tar archive by its name, compressed or not."""
    name = path.name.lower()
    if name.endswith(TARS):
        return True
    stem, dot, ending = name.rpartition(".")
    return f"{dot}{ending}" in COMPRESSED and stem.endswith(".tar")


def _from_zip(archive: Path, wanted: Sequence[str], scratch: Path) -> list[Path]:
    with _reading(archive), zipfile.ZipFile(archive) as opened:
        names = [m.filename for m in opened.infolist() if not m.is_dir()]
        found = [name for name in names if _is_wanted(name, wanted, archive)]
        targets = []
        for name in _once_each(found, wanted, archive):
            target = scratch / PurePosixPath(name).name
            with opened.open(name) as packed:
                _copy(packed, target, archive, opened.getinfo(name).compress_size)
            targets.append(target)
    return targets


def _from_tar(archive: Path, wanted: Sequence[str], folder: Path) -> list[Path]:
    """Unpack the wanted files of a tar archive while reading it once, to its end, for only then it is known whole."""
    found: list[str] = []
    with _tar(archive) as members:
        for member in members:
            if member.isdir() or not _is_wanted(member.name, wanted, archive):
                continue
            target = folder / PurePosixPath(member.name).name
            content = members.extractfile(member) if member.isreg() else None
            if content is None:
                raise DataError(f"{archive}: must hold plain files only, got {member.name!r}.")
            if not found or (wanted and not target.exists()):
                _copy(content, target, archive, archive.stat().st_size)
            found.append(member.name)
    return [folder / PurePosixPath(name).name for name in _once_each(found, wanted, archive)]


@contextmanager
def _tar(path: Path) -> Iterator[tarfile.TarFile]:
    """Open a tar archive to be read once, and read on to its end afterwards."""
    suffix = path.suffix.lower()
    opened = COMPRESSED.get(suffix) or TAR_COMPRESSED.get(suffix, _as_it_is)
    with _reading(path), opened(path) as packed:
        with tarfile.open(fileobj=packed, mode="r|") as members:
            yield members
        while packed.read(CHUNK_BYTES):
            pass


def _as_it_is(path: Path) -> IO[bytes]:
    return path.open("rb")


def _is_wanted(name: str, wanted: Sequence[str], archive: Path) -> bool:
    """Return whether a file of an archive may be of the log: a wanted one, or any that is not hidden."""
    if not _is_inside(name):
        raise DataError(f"{archive}: must hold files inside itself only, got {name!r}.")
    path = PurePosixPath(name)
    if wanted:
        return any(fnmatchcase(path.name, pattern) for pattern in wanted)
    return not is_hidden(path)


def is_hidden(path: PurePath) -> bool:
    """Return whether a path leads to a file that a system or a program put beside the data: .DS_Store, _SUCCESS."""
    return any(
        part.startswith(".") or (part.startswith("_") and "=" not in part) for part in path.parts
    )


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


def _once_each(found: list[str], wanted: Sequence[str], source: Path) -> list[str]:
    """Return the only file for each wanted one; several are as wrong as none, for nothing says which one is meant."""
    names = []
    for pattern in wanted or ["*"]:
        fitting = [name for name in found if fnmatchcase(PurePosixPath(name).name, pattern)]
        if len(fitting) != 1:
            shown = f" ({', '.join(fitting[:3])}, ...)" if fitting else ""
            meant = pattern if wanted else "one file"
            raise DataError(
                f"{source}: must hold {meant} once, and holds it {len(fitting)} times{shown}; unpack it and name the "
                "file, or all files of a log by a pattern in quotes."
            )
        names += fitting
    return names


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
