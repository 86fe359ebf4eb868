"""What an ended trial keeps on disk, read only as it was written.

The database has the SHA-256 of each file. Of a trial of an earlier version, or one that has not ended, there is none,
and a file that can be read is taken for whole.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
from numpy.typing import NDArray
from torch import Tensor

from blade_tune.errors import DamagedFileError
from blade_tune.files import sha256, write_whole
from blade_tune.metrics import METRICS
from blade_tune.storage.folder import TrialFolder

AGAIN = "the same command with --test ranks the test rows again, as another line of the ledger"
OWN = "sha256"  # in a file of test figures: the digest of all the rest of it
LISTED = "files"  # in the same: the digests of the ranks beside it
BEFORE = ("sealed_hash", "baselines")  # what such a file of an earlier version has beside its figures


def digests(folder: TrialFolder) -> dict[str, str]:
    """The SHA-256 of each file that a trial leaves, of those that are there; the log goes without.

    A worker that was given up for dead, and wakes, may add a line to that.
    """
    files = (folder.config, folder.metrics, folder.weights, folder.ranks)
    return {path.name: sha256(path) for path in files if path.is_file()}


def read_whole(folder: TrialFolder, path: Path) -> bytes:
    """The content of one of a trial's files.

    Raises:
        DamagedFileError: it cannot be read, or is not as it was written.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedFileError(f"{path}: cannot be read ({error.strerror}).") from None
    known = folder.digests.get(path.name)
    if known is not None and hashlib.sha256(content).hexdigest() != known:
        raise DamagedFileError(f"{path}: is not as the trial left it.")
    return content


def read_epochs(folder: TrialFolder) -> list[dict[str, Any]]:
    """A record an epoch of a trial; none before its first evaluation.

    Raises:
        DamagedFileError: the file cannot be read, or is not as it was written.
    """
    if not folder.metrics.exists():
        return []
    content = read_whole(folder, folder.metrics)
    try:
        records = [_record(line) for line in content.decode().splitlines()]
        if not records or [record["epoch"] for record in records] != list(range(1, len(records) + 1)):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DamagedFileError(
            f"{folder.metrics}: must hold a record for each epoch from 1 on, and does not."
        ) from None
    return records


def _record(line: str) -> dict[str, Any]:
    """One line, checked as far as it tells."""
    record: dict[str, Any] = json.loads(line)
    figures = [record.get("learning_rate"), *record["losses"].values(), *record["metrics"].values(), record["seconds"]]
    if not all(figure is None or isinstance(figure, int | float) for figure in figures):
        raise ValueError
    return record


def read_ranks(folder: TrialFolder) -> NDArray[np.int32]:
    """ranks_U: the rank of each validation user's item at the best epoch.

    Raises:
        DamagedFileError: the file cannot be read, or is not as it was written.
    """
    return _ranks(folder.ranks, read_whole(folder, folder.ranks), 1)


def read_weights(folder: TrialFolder) -> dict[str, Tensor]:
    """The best epoch's weights.

    Raises:
        DamagedFileError: the file cannot be read, or is not as it was written.
    """
    content = read_whole(folder, folder.weights)
    try:
        return safetensors.torch.load(content)
    except Exception as error:  # of its own kind, and those of the parts it is made of
        raise DamagedFileError(f"{folder.weights}: must hold a model's weights, and cannot be read: {error}") from None


def write_ranks(path: Path, ranks: NDArray[Any]) -> str:
    """Write ranks; returns the file's SHA-256."""
    content = ranks_content(ranks)
    write_whole(path, content)
    return hashlib.sha256(content).hexdigest()


def ranks_content(ranks: NDArray[Any]) -> bytes:
    """Ranks as a file of them has them."""
    buffer = io.BytesIO()
    np.save(buffer, ranks.astype(np.int32))
    return buffer.getvalue()


def write_test(folder: TrialFolder, facts: Mapping[str, Any], ranks: Mapping[Path, NDArray[Any]]) -> None:
    """Write a run's test figures with their own digest, after the ranks that they come from.

    Args:
        folder: of the run.
        facts: the figures.
        ranks: the files that stand beside them.
    """
    whole = {**facts, LISTED: {path.name: write_ranks(path, values) for path, values in ranks.items()}}
    content = json.dumps({**whole, OWN: _digest(whole)}) + "\n"
    write_whole(folder.test, content.encode())


def read_test(folder: TrialFolder) -> dict[str, Any]:
    """A run's test figures.

    Raises:
        DamagedFileError: the file, or one beside it, cannot be read or is not as it was written.
    """
    content = read_whole(folder, folder.test)
    try:
        facts: dict[str, Any] = json.loads(content)
        own = facts.pop(OWN, None)
        is_whole = facts.keys() <= {*BEFORE, *METRICS} if own is None else own == _digest(facts)
        figures = [facts[name] for name in METRICS if name in facts]  # not of a metric that was declared later
        is_whole = is_whole and bool(figures) and all(isinstance(figure, float) for figure in figures)
    except (ValueError, KeyError, TypeError, AttributeError):
        is_whole = False
    if not is_whole:
        raise DamagedFileError(f"{folder.test}: is not as it was written; {AGAIN}.")
    for name, digest in facts.get(LISTED, {}).items():
        path = folder.path / name
        if not path.is_file() or sha256(path) != digest:
            raise DamagedFileError(f"{path}: is not as it was written; {AGAIN}.")
    return facts


def read_test_ranks(folder: TrialFolder) -> NDArray[np.int32]:
    """(2, U): the number of each test user, and the rank of the item.

    Raises:
        DamagedFileError: the file cannot be read.
    """
    return _ranks(folder.test_ranks, read_whole(folder, folder.test_ranks), 2)


def read_test_baseline_ranks(folder: TrialFolder) -> NDArray[np.int32]:
    """The rank that the reference baseline gives the item of each of these users.

    Raises:
        DamagedFileError: the file cannot be read.
    """
    return _ranks(folder.test_baseline_ranks, read_whole(folder, folder.test_baseline_ranks), 1)


def _ranks(path: Path, content: bytes, num_axes: int) -> NDArray[np.int32]:
    try:
        ranks = np.load(io.BytesIO(content), allow_pickle=False)
        is_whole = ranks.dtype == np.int32 and ranks.ndim == num_axes and (ranks >= 0).all()
    except MemoryError:
        raise
    except Exception:  # a damaged header is read as Python
        is_whole = False
    if not is_whole:
        raise DamagedFileError(f"{path}: must hold ranks, and does not.")
    return np.asarray(ranks)


def _digest(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
