"""The files of a known log in what a user names as its source, and the version that they are."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path

from blade_tune.data.raw.datasets import KnownLog
from blade_tune.data.raw.find import names_of
from blade_tune.data.raw.forms import LogPart
from blade_tune.data.raw.unpack import is_archive
from blade_tune.errors import ConfigError, DataError

SHOWN = 5  # names of files in an error


def parts_of(known: KnownLog, source: Path, version: str | None = None) -> tuple[LogPart, ...]:
    """Return the parts of a known log that a source holds.

    Args:
        known: the log.
        source: a file, an archive, a folder or a pattern.
        version: that of the log; None finds it by the names of the files.

    Raises:
        DataError: the source does not hold the files of one version.
        ConfigError: there is no such version.
    """
    forms = known.forms(_version(known, source, version))
    if len(forms) > 1 and (not source.is_file() or is_archive(source)):
        missing = _missing(forms, names_of(source))
    else:
        # A single file may have any name, but is not several
        missing = list(forms)[1:]
    if missing:
        raise DataError(
            f"{source}: must hold {' and '.join(forms)}, and {' and '.join(missing)} is missing; name the folder or "
            "the archive that holds all of them."
        )
    groups = groupby(forms.items(), lambda file: file[1])
    return tuple(LogPart(source, form, tuple(name for name, _ in files)) for form, files in groups)


def _version(known: KnownLog, source: Path, version: str | None) -> str:
    """Return the version that is meant by its name or by the names of the files."""
    versions = known.versions
    if version is not None and version not in versions:
        raise ConfigError(f"--version must be one of {', '.join(versions)}, got {version}.")
    if version is not None or not versions:
        return version or ""
    names = names_of(source)
    found = [name for name, files in versions.items() if not _missing(files, names)]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(
            f"{source}: has names of files of {' and '.join(found)}; say with --version which it is."
        )
    files = "; ".join(f"{name}: {', '.join(files)}" for name, files in versions.items())
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    raise DataError(
        f"{source}: must hold the files of a version as their owner calls them ({files}), got "
        f"{', '.join(names[:SHOWN]) or 'nothing'}{more}; name the folder or the archive that holds them, or say with "
        "--version what a file of another name is."
    )


def _missing(files: Iterable[str], names: Sequence[str]) -> list[str]:
    """Return those of the files, or patterns of files, that are not among some names."""
    return [file for file in files if not any(fnmatchcase(name, file) for name in names)]
