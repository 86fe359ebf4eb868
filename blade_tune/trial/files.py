"""Verified reading and writing of the files that a trial leaves on disk: epochs, weights, ranks and test figures.

The database keeps the SHA-256 of each file from the moment its trial ended. Every reader here compares the content with
that digest and raises `DamagedFileError` where the two differ, so that no reported figure rests on a changed file. A
trial that is still running, or that an earlier version wrote, has no digest; a readable file of such a trial is
accepted. The test figures and those under another target set, written after the trial ended, carry their own digest.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from blade_tune.errors import DamagedFileError
from blade_tune.files import sha256, write_whole
from blade_tune.metrics import METRICS
from blade_tune.storage.folder import ToldFiles, TrialFolder

if TYPE_CHECKING:
    from torch import Tensor

AGAIN = "the same command with --test ranks the test rows again, as another line of the ledger"
AGAIN_TOLD = "the same command with --told ranks again; test rows are another line of the ledger"

# Keys of a file of test figures: the digest of the rest of its content, and those of the files of ranks in its folder.
OWN = "sha256"
LISTED = "files"

# The metrics in such a file of an earlier version, and its keys besides them.
METRICS_BEFORE = {f"{name}@{k}" for name in ("ndcg", "hr") for k in (5, 10, 20)}
BEFORE = ("sealed_hash", "baselines")


def digests(folder: TrialFolder) -> dict[str, str]:
    """Return the SHA-256 of each file that a trial has left, by file name; files that do not exist are skipped.

    The log has no digest: a worker that was presumed dead and wakes up may still append to it.
    """
    files = (folder.config, folder.metrics, folder.weights, folder.ranks)
    return {path.name: sha256(path) for path in files if path.is_file()}


def read_whole(folder: TrialFolder, path: Path) -> bytes:
    """Return the content of one of a trial's files, verified against the digest in the database if there is one.

    Args:
        folder: the trial's folder.
        path: the file, in that folder.

    Raises:
        DamagedFileError: the file cannot be read, or its content is not what the trial wrote.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedFileError(f"{path}: cannot be read ({error.strerror}).") from None
    digest = folder.digests.get(path.name)
    if digest is not None and hashlib.sha256(content).hexdigest() != digest:
        raise DamagedFileError(f"{path}: is not as the trial left it.")
    return content


def read_epochs(folder: TrialFolder) -> list[dict[str, Any]]:
    """Return the records of a trial's epochs, in the form of `EpochRecord`, in order from epoch 1.

    Returns:
        One mapping per epoch; an empty list before the trial's first evaluation, when no file exists.

    Raises:
        DamagedFileError: the file cannot be read, is not what the trial wrote, or does not hold every epoch in order.
    """
    if not folder.metrics.exists():
        return []
    content = read_whole(folder, folder.metrics)
    try:
        records = [_record(line) for line in content.decode().splitlines()]
        epochs = [record["epoch"] for record in records]
        if not epochs or epochs != list(range(1, len(epochs) + 1)):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DamagedFileError(
            f"{folder.metrics}: must hold a record for each epoch from 1 on, and does not."
        ) from None
    return records


def _record(line: str) -> dict[str, Any]:
    """Parse one line of a metrics file, and check that its figures are numbers or null."""
    record: dict[str, Any] = json.loads(line)
    figures = [record["seconds"], record.get("learning_rate")]
    figures += record["losses"].values()
    figures += record["metrics"].values()
    if not all(figure is None or isinstance(figure, int | float) for figure in figures):
        raise ValueError
    return record


def read_ranks(folder: TrialFolder) -> NDArray[np.int32]:
    """Return ranks_U: the rank of each validation user's held-out item at the trial's best epoch.

    Raises:
        DamagedFileError: the file cannot be read, or is not what the trial wrote.
    """
    return _ranks(folder.ranks, read_whole(folder, folder.ranks), 1)


def read_weights(folder: TrialFolder) -> "dict[str, Tensor]":
    """Return the model's weights at the trial's best epoch, on the CPU, by the name of the parameter.

    Raises:
        DamagedFileError: the file cannot be read, or is not what the trial wrote.
    """
    from safetensors.torch import load  # loads torch

    content = read_whole(folder, folder.weights)
    try:
        return load(content)
    except Exception as error:  # safetensors raises its own error, and those of JSON and torch
        raise _no_weights(folder, error) from None


def _no_weights(folder: TrialFolder, error: Exception) -> DamagedFileError:
    return DamagedFileError(
        f"{folder.weights}: must hold a model's weights, and cannot be read: {error}"
    )


def verify_weights(folder: TrialFolder) -> None:
    """Check the file of a trial's weights as `read_weights` does, without loading torch.

    Raises:
        DamagedFileError: the file cannot be read, or is not what the trial wrote.
    """
    from safetensors import deserialize

    content = read_whole(folder, folder.weights)
    try:
        deserialize(content)
    except Exception as error:
        raise _no_weights(folder, error) from None


def write_ranks(path: Path, ranks: NDArray[Any]) -> str:
    """Write an array of ranks to a file and return the file's SHA-256."""
    content = ranks_content(ranks)
    write_whole(path, content)
    return hashlib.sha256(content).hexdigest()


def ranks_content(ranks: NDArray[Any]) -> bytes:
    """Return the content of a file of ranks: NumPy's `.npy` format, int32."""
    buffer = io.BytesIO()
    np.save(buffer, ranks.astype(np.int32))
    return buffer.getvalue()


def write_test(
    folder: TrialFolder, facts: Mapping[str, Any], ranks: Mapping[Path, NDArray[Any]]
) -> None:
    """Write a run's test figures, and the files of ranks that they were computed from.

    The ranks are written first and their digests are stored with the figures, so that figures exist only with ranks
    that can be checked.

    Args:
        folder: the run's folder.
        facts: the test figures, by the metric's name, and whatever is stored with them.
        ranks: path of a file in the folder -> the ranks to write there.
    """
    _write_figures(folder.test, facts, ranks)


def _write_figures(
    figures: Path, facts: Mapping[str, Any], ranks: Mapping[Path, NDArray[Any]]
) -> None:
    listed = {path.name: write_ranks(path, values) for path, values in ranks.items()}
    content = {**facts, LISTED: listed}
    signed = {**content, OWN: _digest(content)}
    line = json.dumps(signed) + "\n"
    write_whole(figures, line.encode())


def read_test(folder: TrialFolder) -> dict[str, Any]:
    """Return a run's test figures as `write_test` wrote them, without their own digest.

    Raises:
        DamagedFileError: the file, or a file of ranks that it lists, cannot be read or is not what was written.
    """
    return _read_figures(folder, folder.test, AGAIN)


def write_told(told: ToldFiles, facts: Mapping[str, Any], ranks_2U: NDArray[Any]) -> None:
    """Write the figures and ranks of a run whose model was told another set of the item to predict.

    Args:
        told: the paths, from `TrialFolder.told`.
        facts: the figures, by the metric's name, and whatever is stored with them.
        ranks_2U: numbers of the users, and the rank of each one's held-out item.
    """
    _write_figures(told.figures, facts, {told.ranks: ranks_2U})


def read_told(folder: TrialFolder, told: ToldFiles) -> tuple[dict[str, Any], NDArray[np.int32]]:
    """Return what `write_told` wrote: the facts, without their own digest, and ranks_2U.

    Raises:
        DamagedFileError: a file cannot be read or is not what was written.
    """
    facts = _read_figures(folder, told.figures, AGAIN_TOLD)
    return facts, _ranks(told.ranks, read_whole(folder, told.ranks), 2)


def _read_figures(folder: TrialFolder, figures: Path, again: str) -> dict[str, Any]:
    content = read_whole(folder, figures)
    try:
        facts: dict[str, Any] = json.loads(content)
        is_whole = _are_test_facts(facts, facts.pop(OWN, None))
    except (ValueError, KeyError, TypeError, AttributeError):
        is_whole = False
    if not is_whole:
        raise DamagedFileError(f"{figures}: is not as it was written; {again}.")
    for name, digest in facts.get(LISTED, {}).items():
        path = folder.path / name
        if not path.is_file() or sha256(path) != digest:
            raise DamagedFileError(f"{path}: is not as it was written; {again}.")
    return facts


def _are_test_facts(facts: Mapping[str, Any], digest: str | None) -> bool:
    """Return whether test figures are as they were written, by the digest that stood with them."""
    # A metric that is newer than the file has no figure in it.
    figures = [facts[name] for name in METRICS if name in facts]
    if not all(isinstance(figure, float) for figure in figures):
        return False
    if digest is not None:
        return digest == _digest(facts)
    # An earlier version wrote no digest. Its file is accepted if it has all metrics of then, and no unknown key.
    return facts.keys() - set(BEFORE) == METRICS_BEFORE


def read_test_ranks(folder: TrialFolder) -> NDArray[np.int32]:
    """Return the test ranks of a run.

    Returns:
        int32 of shape (2, U): the numbers of the test users, and the rank of each one's held-out item.

    Raises:
        DamagedFileError: the file cannot be read or holds no ranks.
    """
    return _ranks(folder.test_ranks, read_whole(folder, folder.test_ranks), 2)


def read_test_baseline_ranks(folder: TrialFolder) -> NDArray[np.int32]:
    """Return ranks_U: the rank that the reference baseline gives each test user's held-out item.

    The users are in the order of `read_test_ranks`.

    Raises:
        DamagedFileError: the file cannot be read or holds no ranks.
    """
    return _ranks(folder.test_baseline_ranks, read_whole(folder, folder.test_baseline_ranks), 1)


def _ranks(path: Path, content: bytes, num_axes: int) -> NDArray[np.int32]:
    """Return the array in the content of a file of ranks, which must have so many axes and no negative entry."""
    try:
        ranks = np.load(io.BytesIO(content), allow_pickle=False)
        is_whole = ranks.dtype == np.int32 and ranks.ndim == num_axes and (ranks >= 0).all()
    except MemoryError:
        raise
    except Exception:  # NumPy parses the header as Python, so a damaged one may raise anything
        is_whole = False
    if not is_whole:
        raise DamagedFileError(f"{path}: must hold ranks, and does not.")
    return np.asarray(ranks)


def _digest(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
