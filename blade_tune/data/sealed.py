"""Sealed data: the between and test rows, which are opened for evaluation only with a line in the ledger.

They are stored apart from the data that the search sees, in a folder that only the current user may open, so that no
hyperparameter is ever chosen on test rows and every look at them is on record.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blade_tune.data import digest, folder
from blade_tune.data.ledger import Head, Ledger
from blade_tune.data.numbering import Numbering
from blade_tune.data.sources.base import Source, open_source
from blade_tune.data.store import SearchData, number_parts, stored_part
from blade_tune.data.table import Part
from blade_tune.errors import DataError

if TYPE_CHECKING:
    from blade_tune.data.sequences import Windows


@dataclass(frozen=True)
class SealedData:
    """Between and test rows of a data set under the internal ids of its train rows, mapped from disk."""

    search: SearchData
    between: Part
    test: Part
    data_hash: str  # of these rows and of the train and valid rows that they belong to
    dropped: dict[str, int]  # rows of between and test that were left out, by part and reason
    # The line of the ledger by which the rows were opened; None for a mere count
    opening: Head | None = None

    def windows(self, max_length: int) -> "Windows":
        """Return windows over all four parts, one a user; the last target of a user with a test row is that row."""
        from blade_tune.data.sequences import windows  # loads torch

        parts = [self.search.train, self.search.valid, self.between, self.test]
        return windows(parts, self.search.num_users, max_length)


def open_for_evaluation(
    search: SearchData, directory: Path | None, ledger: Ledger, entry: Mapping[str, Any]
) -> SealedData:
    """Append a line to the ledger, then open the test rows for an evaluation.

    Args:
        search: the prepared data that a model was chosen on.
        directory: folder of the data's files; None for a source without files.
        ledger: the ledger that gets the line before anything is opened.
        entry: who opens and why: study, trial, seed, when, command.

    Raises:
        DataError: the ledger is broken, files are missing or malformed, or train and valid changed since `search`.
    """
    source = _same_source(search, directory)
    opening = ledger.append(entry)
    return replace(_open(search, source), opening=opening)


def count_sealed(search: SearchData, directory: Path | None) -> dict[str, int]:
    """Return the numbers of between and test rows; needs no line in the ledger, for it reveals no row."""
    sealed = _open(search, _same_source(search, directory))
    return {"between": len(sealed.between), "test": len(sealed.test)}


def _same_source(search: SearchData, directory: Path | None) -> Source:
    """Open the data's source, and check that its train and valid rows are still those that were prepared."""
    source = open_source(search.config, directory)
    if source.search_key() != search.path.name:
        raise DataError(
            f"{directory}: must hold the train and valid data that were prepared, and they have changed."
        )
    return source


def _open(search: SearchData, source: Source) -> SealedData:
    """Map the sealed rows from disk, building their folder first if needed; their hash is compared each time."""
    root = search.path.parent.parent / ".sealed"
    path = root / digest.key(search=search.path.name, sealed=source.sealed_key())
    folder.keep_private(root)
    if not folder.has_checksums(path):
        between, test = source.sealed()
        numbering = Numbering(search.user_ids_U, search.item_ids_V)
        arrays, dropped = number_parts(numbering, between=between, test=test)
        data_hash = digest.content_hash(arrays, search=search.data_hash)
        folder.write(path, arrays, {"data_hash": data_hash, "dropped": dropped}, is_private=True)

    arrays, facts = folder.read(path, anew=True)
    if digest.content_hash(arrays, search=search.data_hash) != facts["data_hash"]:
        raise DataError(
            f"{path}: must hold the rows of hash {facts['data_hash']}, and does not; delete this folder."
        )
    return SealedData(search, stored_part(arrays, "between"), stored_part(arrays, "test"), **facts)
