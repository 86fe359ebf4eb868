"""Checksums of a bundle, by which a change of any of its files is noticed."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from blade_tune.doctor.diagnosis import Diagnosis
from blade_tune.errors import DataError
from blade_tune.files import sha256

FILE = "checksums.json"
# The files that every bundle lists
FILES = (
    "weights.safetensors",
    "best.yaml",
    "catalog.json",
    "users.csv",
    "items.csv",
    "metrics.json",
    "ranks.npy",
    "provenance.json",
    "README.md",
)
# The only other file that one may list
PROGRAM = "program.pt2"


def write(folder: Path) -> None:
    """Write the SHA-256 of every file in a folder, and one digest of them all, to `checksums.json`."""
    checksums = {path.name: sha256(path) for path in sorted(folder.iterdir())}
    content = {"files": checksums, "digest": _digest(checksums)}
    (folder / FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def require_bundle(folder: Path) -> None:
    """Check that a folder is a bundle's, without a look at its files.

    Raises:
        DataError: it has no list of checksums.
    """
    if not (folder / FILE).is_file():
        fact = f"must be a bundle that export-best wrote, and has no {FILE}"
        raise DataError(f"{folder}: {fact}; name another folder, or export it again.")


def verify(folder: Path) -> str:
    """Check all files of a bundle against its checksums; other files in the folder are ignored.

    Returns:
        The digest of the bundle. Only this proves its origin: anyone who knows the digest from a source that they trust
        can compare it, whereas a person who changes a file can also change `checksums.json`.

    Raises:
        DataError: a file is missing or was changed, or the checksums were changed.
    """
    # The list of checksums itself
    require_bundle(folder)
    list_path = folder / FILE
    consequence = "so nothing of this bundle can be trusted"
    try:
        content = json.loads(list_path.read_text(encoding="utf-8"))
        listed = dict(content["files"])
        digest = str(content["digest"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise DataError(f"{list_path}: is damaged, {consequence}.") from None
    if digest != _digest(listed):
        raise DataError(f"{list_path}: was changed, {consequence}.")
    differing = sorted(listed.keys() - {PROGRAM} ^ set(FILES))
    if differing:
        name = differing[0]
        is_extra = name in listed
        fact = (
            "lists a file that no bundle has"
            if is_extra
            else "does not list a file of every bundle"
        )
        raise DataError(f"{list_path}: {fact}, {name}, {consequence}.")

    # The files that it lists
    for name in listed:
        path = folder / name
        if not path.is_file() or sha256(path) != listed[name]:
            fact = "was changed" if path.is_file() else "is missing"
            raise DataError(f"{path}: {fact}, so this bundle is not what was exported.")
    return digest


def bundle_findings(results: Path, study: str | None) -> Iterator[Diagnosis]:
    """Yield a warning for each exported bundle that has changed since it was written.

    Args:
        results: the folder of all studies.
        study: name of the study to look at; None for all.
    """
    for folder in sorted(results.glob(f"{study or '*'}/best")):
        try:
            verify(folder)
        except DataError as error:
            yield Diagnosis(
                f"study {folder.parent.name}", "warning", str(error), "export-best writes it anew"
            )


def _digest(files: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
