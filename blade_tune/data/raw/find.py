"""The files that the source of a log means: a file, an archive, a folder, or all that a pattern matches."""

import re
from collections.abc import Iterator
from glob import glob, has_magic
from pathlib import Path
from urllib.parse import unquote

from blade_tune.data.raw.unpack import COMPRESSED, PlainFile, is_hidden, unpacked
from blade_tune.errors import DataError

NOT_FIRST = r"^[^A-Za-z0-9]"  # of the name of a data set
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"  # in the name of a folder of rows without a value


def find(source: Path, wanted: str | None, scratch: Path) -> list[PlainFile]:
    """Return the plain files that `source` is or holds, unpacked if necessary, in the order in which they are read.

    The files of a folder or a pattern are all of one form. They stand in the order of their names, in which numbers
    count as numbers.

    Args:
        source: a file, compressed or not; an archive; a folder; or a pattern with *, ? or [.
        wanted: name of the only file that is meant in an archive or a folder.
        scratch: folder in which a folder `unpacked` is made for unpacked files.

    Raises:
        DataError: a file is missing, damaged or suspiciously large, or files are of several forms.
    """
    paths = _paths(source, wanted)
    scratch = scratch / "unpacked"
    files = []
    for number, (root, path) in enumerate(paths):
        place = scratch / str(number)
        place.mkdir(parents=True)
        file = unpacked(path, wanted, place)
        files.append(PlainFile(file.path, file.name, _partition(path.relative_to(root))))
    return files


def listed(source: Path) -> list[tuple[Path, dict[str, str]]]:
    """Return the files that a source means, still packed, each with the columns whose values its folders name.

    Raises:
        DataError: there is none, or files are of several forms.
    """
    return [(path, _partition(path.relative_to(root))) for root, path in _paths(source, None)]


def name_of(source: Path) -> str:
    """Return a name for the data set of a log: that of its file, or of its folder where the file's is a pattern."""
    for part in (source.name, source.absolute().parent.name):
        stem = part.partition(".")[0]
        name = re.sub(r"[^\w-]+", "-", stem).strip("-_")
        if name:
            return f"log-{name}" if re.match(NOT_FIRST, name) else name
    return "log"


def _paths(source: Path, wanted: str | None) -> list[tuple[Path, Path]]:
    """Return the files that are read, each with the folder in which folders are partitions."""
    if source.is_file():
        return [(source.parent, source)]
    if source.is_dir():
        found = [(source, path) for path in _in_folder(source, wanted)]
    elif has_magic(str(source)):
        root = _fixed(source)
        matches = [Path(path) for path in glob(str(source), recursive=True)]
        found = [(root, path) for match in matches for path in _in_folder(match, wanted)]
    else:
        raise DataError(f"{source}: no such file or folder.")

    if wanted is not None and len(found) != 1:
        raise DataError(f"{source}: must hold {wanted} once, and holds it {len(found)} times.")
    if not found:
        raise DataError(f"{source}: must hold a file of a log, and holds none.")
    endings = sorted({_ending(path) for _, path in found})
    if len(endings) > 1:
        raise DataError(
            f"{source}: must hold files of one form, got {', '.join(endings)}; name those of the log by a pattern in "
            f"quotes, such as {str(source / '*')!r}{endings[0]!r}."
        )
    return sorted(found, key=lambda place: _in_order(place[1]))


def _in_folder(path: Path, wanted: str | None) -> Iterator[Path]:
    """Yield the files of a folder and its folders that are not hidden, or a file itself."""
    if path.is_file():
        yield path
        return
    for found in path.rglob(wanted or "*"):
        if found.is_file() and (wanted is not None or not is_hidden(found.relative_to(path))):
            yield found


def _fixed(pattern: Path) -> Path:
    """Return the folder in front of the first part of a path that is a pattern."""
    parts = pattern.parts
    first = next(k for k, part in enumerate(parts) if has_magic(part))
    return Path(*parts[:first])


def _ending(path: Path) -> str:
    """Return the form of a file and its compression: `.csv.gz`."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return "".join(suffixes[-2:] if suffixes[-1:] and suffixes[-1] in COMPRESSED else suffixes[-1:])


def _in_order(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), part) if part.isdecimal() else (-1, part) for part in parts]


def _partition(path: Path) -> dict[str, str]:
    """Return the columns whose values are in the names of a file's folders, as Hive and Spark write them."""
    pairs = [part.split("=", 1) for part in path.parts[:-1] if "=" in part]
    return {unquote(name): "" if value == NO_VALUE else unquote(value) for name, value in pairs}
