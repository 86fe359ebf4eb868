"""Checksums of a folder: whether it is as it was written."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from blade_tune.errors import DataError
from blade_tune.fleet.findings import Finding

FILE = "checksums.json"


def write(folder: Path) -> None:
    """Write down the SHA-256 of every file, and one digest of them all."""
    found = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
    content = {"files": found, "digest": _digest(found)}
    (folder / FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def verify(folder: Path) -> str:
    """The digest of the folder, which anyone who got it from a place they trust may compare.

    Raises:
        DataError: a file is missing or was changed, or the checksums were.
    """
    if not (folder / FILE).is_file():
        raise DataError(f"{folder}: must be a bundle that export-best wrote, and has no {FILE}.")
    try:
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
        listed, digest = dict(content["files"]), str(content["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{folder / FILE}: is damaged, so nothing of this bundle can be trusted.") from None
    if digest != _digest(listed):
        raise DataError(f"{folder / FILE}: was changed, so nothing of this bundle can be trusted.")
    for name, sha256 in listed.items():
        path = folder / name
        if not path.is_file() or _sha256(path) != sha256:
            fact = "was changed" if path.is_file() else "is missing"
            raise DataError(f"{path}: {fact}, so this bundle is not what was exported.")
    return digest


def bundle_findings(results: Path, study: str | None) -> Iterator[Finding]:
    """What the doctor says of exported models that are not as they were written.

    Args:
        results: the folder of all studies.
        study: whose; None for all.
    """
    for bundle in sorted(results.glob(f"{study or '*'}/best")):
        try:
            verify(bundle)
        except DataError as error:
            yield Finding(f"study {bundle.parent.name}", "warning", str(error), "export-best writes it anew")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(files: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
