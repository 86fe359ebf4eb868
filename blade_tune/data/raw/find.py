"""The files that the source of a log means: a file, an archive, a folder, or all that a pattern matches."""

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from glob import glob, has_magic
from pathlib import Path
from urllib.parse import unquote

from blade_tune.data.raw.unpack import (
    COMPRESSED,
    PlainFile,
    is_hidden,
    names_in,
    plain_name,
    unpacked,
)
from blade_tune.errors import DataError

NOT_FIRST = r"^[^A-Za-z0-9]"  # of the name of a data set
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"  # in the name of a folder of rows without a value


def find(source: Path, wanted: Sequence[str], scratch: Path) -> list[PlainFile]:
    """Return the plain files that `source` is or holds, unpacked if necessary, in the order in which they are read.

    The files of a folder or a pattern are all of one form. They stand in the order of their names, in which numbers
    count as numbers.

    Args:
        source: a file, compressed or not; an archive; a folder; or a pattern with *, ? or [.
        wanted: names of the only files that are meant in an archive or a folder, or patterns of names, each of one
            file; they are read in this order.
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
        for file in unpacked(path, wanted, place):
            files.append(PlainFile(file.path, file.name, _partition(path.relative_to(root))))
    return files


def listed(source: Path) -> list[tuple[Path, dict[str, str]]]:
    """Return the files that a source means, still packed, each with the columns whose values its folders name.

    Raises:
        DataError: there is none, or files are of several forms.
    """
    return [(path, _partition(path.relative_to(root))) for root, path in _paths(source, [])]


def names_of(source: Path) -> list[str]:
    """Return the names of the files that a source is or holds, without endings that say how they are compressed."""
    if source.is_file():
        return names_in(source)
    return [plain_name(path.name) for _, path in _all(source, [])]


def name_of(source: Path) -> str:
    """Return a name for the data set of a log: that of its file, or of its folder where the file's is a pattern."""
    for part in (source.name, source.absolute().parent.name):
        stem = part.partition(".")[0]
        name = re.sub(r"[^\w-]+", "-", stem).strip("-_")
        if name:
            return f"log-{name}" if re.match(NOT_FIRST, name) else name
    return "log"


def _paths(source: Path, wanted: Sequence[str]) -> list[tuple[Path, Path]]:
    """Return the files that are read, each with the folder in which folders are partitions."""
    if source.is_file():
        return [(source.parent, source)]
    found = _all(source, wanted)
    if wanted:
        return [_only(found, name, source) for name in wanted]
    if not found:
        raise DataError(f"{source}: must hold a file of a log, and holds none.")
    endings = sorted({_ending(path) for _, path in found})
    if len(endings) > 1:
        raise DataError(
            f"{source}: must hold files of one form, got {', '.join(endings)}; name those of the log by a pattern in "
            f"quotes, such as {str(source / '*')!r}{endings[0]!r}."
        )
    return sorted(found, key=lambda place: _in_order(place[1]))


def _all(source: Path, wanted: Sequence[str]) -> list[tuple[Path, Path]]:
    """Return the files that a folder or a pattern means, each with the folder in which folders are partitions."""
    if source.is_dir():
        return [(source, path) for path in _in_folder(source, wanted)]
    if not has_magic(str(source)):
        raise DataError(f"{source}: no such file or folder.")
    root = _fixed(source)
    matches = [Path(path) for path in glob(str(source), recursive=True)]
    return [(root, path) for match in matches for path in _in_folder(match, wanted)]


def _only(found: Sequence[tuple[Path, Path]], wanted: str, source: Path) -> tuple[Path, Path]:
    fitting = [place for place in found if fnmatchcase(plain_name(place[1].name), wanted)]
    if len(fitting) != 1:
        raise DataError(f"{source}: must hold {wanted} once, and holds it {len(fitting)} times.")
    return fitting[0]


def _in_folder(path: Path, wanted: Sequence[str]) -> Iterator[Path]:
    """Yield the files of a folder and its folders that are not hidden, or a file itself; with a name, those wanted."""
    for found in [path] if path.is_file() else path.rglob("*"):
        if wanted:
            is_meant = any(fnmatchcase(plain_name(found.name), name) for name in wanted)
        else:
            is_meant = found == path or not is_hidden(found.relative_to(path))
        if is_meant and found.is_file():
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
