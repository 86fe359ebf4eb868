"""Prepared data: the train and valid rows that a search sees, built once and then mapped from disk.

`prepare` finds them in a folder that is named by a hash of the source's content and settings. All workers of a machine
map the same files, so that a data set is in memory once; what each would have to derive from the rows is stored too.
"""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from blade_tune.catalog import Catalog, Interactions
from blade_tune.data import digest, folder, origins
from blade_tune.data.config import DataConfig
from blade_tune.data.numbering import Numbering
from blade_tune.data.sources.base import Source, open_source
from blade_tune.data.table import (
    Part,
    bounds_of,
    in_user_order,
    mode_target_set,
    pair_counts,
    unmet_before,
    user_item_keys,
)
from blade_tune.errors import DataError

if TYPE_CHECKING:
    from blade_tune.data.sequences import Windows

Phase = Literal["train", "valid"]
PREPARED = ".prepared"  # in the results folder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SearchData:
    """Train and valid rows of a data set under internal ids, mapped from disk; it holds nothing of between and test."""

    config: DataConfig
    train: Part
    valid: Part
    user_ids_U: NDArray[np.int64]  # raw id of each internal user id; index 0 is padding
    item_ids_V: NDArray[np.int64]  # raw id of each internal item id; index 0 is padding
    data_hash: str  # of the prepared rows, the raw ids and the meaning of the columns
    dropped: dict[str, int]  # rows of train and valid that were left out, by part and reason
    path: Path

    @property
    def num_users(self) -> int:
        """Number of users, U; users are 1..U, and each has a train row."""
        return len(self.user_ids_U) - 1

    @property
    def num_items(self) -> int:
        """Number of items, V; items are 1..V, and each has a train row."""
        return len(self.item_ids_V) - 1

    @cached_property
    def catalog(self) -> Catalog:
        """Statistics of the data set that a model may know."""
        pair_counts_KK = self._mapped("pair_counts")
        return Catalog(
            num_users=self.num_users,
            num_items=self.num_items,
            behaviors=self.config.behaviors,
            auxiliary=self.config.auxiliary_columns,
            behavior_counts_K=pair_counts_KK.diagonal().copy(),
            pair_counts_KK=pair_counts_KK,
            mode_set_K=mode_target_set(self.train.sets_NK, self.config.auxiliary_columns),
        )

    def windows(self, phase: Phase, max_length: int) -> "Windows":
        """Return the windows of a phase, one a user, with at most `max_length` steps.

        In phase train the last target is a user's last train row; in phase valid it is the valid row, if there is one.
        """
        from torch import from_numpy

        from blade_tune.data.sequences import Windows  # loads torch

        names = ("history_items", "history_sets", "history_starts", f"{phase}_ends")
        return Windows(max_length, *(from_numpy(self._mapped(name)) for name in names))

    def user_item_keys(self) -> NDArray[np.int64]:
        """Return what users met in train rows, and so before their valid row, as sorted keys for binary search.

        A key is user * (num_items + 1) + item.
        """
        return self._mapped("met_keys")

    def unmet_before(self) -> NDArray[np.int64]:
        """Return, for each of `user_item_keys`, how many smaller items its user never met, as a sorted key.

        The keys are those of `blade_tune.data.table.unmet_before`.
        """
        return self._mapped("unmet_before")

    def _mapped(self, name: str) -> NDArray[Any]:
        """Map an array of the folder, whose memory processes share; a process that writes to it gets a copy."""
        return np.load(self.path / f"{name}.npy", mmap_mode="c")


def prepare(config: DataConfig, directory: Path | None, root: Path) -> SearchData:
    """Map the prepared data of a data set from disk, building it first if its content was never prepared.

    Args:
        config: settings of the data set.
        directory: folder of its files; None for a source without files.
        root: folder in which prepared data is kept.

    Raises:
        DataError: files are missing or malformed, or nothing is left to train or to validate on.
    """
    source = open_source(config, directory)
    # The name of the folder is the key of the content: changed files or settings lead to another folder.
    with origins.named(root, directory):
        path = root / PREPARED / source.search_key()
    if not folder.has_checksums(path):
        _build(source, config, path)
    if directory is not None:
        origins.remember(source.commands(), root, directory)
    arrays, facts = folder.read(path)
    return SearchData(
        config=config,
        train=stored_part(arrays, "train"),
        valid=stored_part(arrays, "valid"),
        user_ids_U=arrays["user_ids"],
        item_ids_V=arrays["item_ids"],
        path=path,
        **facts,
    )


@dataclass(frozen=True)
class PreparedSize:
    """What lies prepared in a folder, and how large it is."""

    path: Path
    data_hash: str  # of `SearchData`
    num_users: int
    num_items: int
    num_rows: int  # of train and valid
    num_bytes: int


def all_prepared(root: Path) -> list[PreparedSize]:
    """Return what is prepared in a results folder, in order of the folders' names; what cannot be read is left out.

    Nothing is checked by its checksums and no row is read.
    """
    found = []
    for path in sorted((root / PREPARED).glob("[!.]*")):
        try:
            lengths, facts, num_bytes = folder.glance(path)
            found.append(
                PreparedSize(
                    path=path,
                    data_hash=facts["data_hash"],
                    num_users=lengths["user_ids"] - 1,
                    num_items=lengths["item_ids"] - 1,
                    num_rows=lengths["train_users"] + lengths["valid_users"],
                    num_bytes=num_bytes,
                )
            )
        except (DataError, KeyError):
            continue
    return found


def _build(source: Source, config: DataConfig, path: Path) -> None:
    """Read train and valid from a source, and write them and what derives from them to a folder."""
    train, valid = source.search()
    # Users and items of train rows only, for ids must tell nothing of later rows
    numbering = Numbering.of(train)
    arrays, dropped = number_parts(numbering, train=train, valid=valid)
    for name in ("train", "valid"):
        if not len(arrays[f"{name}_users"]):
            raise DataError(
                f"{config.name}: {name} must keep at least one row, got none (left out: {dropped})."
            )

    # Only the rows and their ids are part of the content's hash, not what derives from them
    arrays |= {"user_ids": numbering.user_ids_U, "item_ids": numbering.item_ids_V}
    derived = _derived(stored_part(arrays, "train"), stored_part(arrays, "valid"), numbering)
    data_hash = digest.content_hash(arrays, behaviors=config.behaviors, auxiliary=config.auxiliary)
    folder.write(path, arrays | derived, {"data_hash": data_hash, "dropped": dropped})
    log.info(
        "prepared name=%s hash=%s left_out=%d path=%s",
        config.name,
        data_hash,
        sum(dropped.values()),
        path,
    )


def _derived(train: Part, valid: Part, numbering: Numbering) -> dict[str, NDArray[Any]]:
    """Return arrays that every worker would otherwise have to derive from the rows and keep in its own memory."""
    num_users = len(numbering.user_ids_U) - 1
    num_items = len(numbering.item_ids_V) - 1
    history = in_user_order([train, valid])
    starts_U, ends_U = bounds_of(history.users_N, num_users)
    train_starts_U, train_ends_U = bounds_of(train.users_N, num_users)
    keys_N = user_item_keys([train], num_items)
    return {
        "history_items": history.items_N,
        "history_sets": history.sets_NK,
        "history_starts": starts_U,
        # A history is a user's train rows followed by the valid row, so both phases share it and differ in its end.
        "train_ends": starts_U + train_ends_U - train_starts_U,
        "valid_ends": ends_U,
        "met_keys": keys_N,
        "unmet_before": unmet_before(keys_N, num_items),
        "pair_counts": pair_counts(train.sets_NK),
    }


def number_parts(
    numbering: Numbering, **parts: Interactions
) -> tuple[dict[str, NDArray[Any]], dict[str, int]]:
    """Renumber the named parts of a data set.

    Returns:
        Arrays by name, such as `train_users`, `train_items` and `train_sets`; and the number of dropped rows by part
        and reason, such as `train_empty_set`.
    """
    arrays: dict[str, NDArray[Any]] = {}
    dropped: dict[str, int] = {}
    for name, rows in parts.items():
        part, reasons = numbering.part(rows)
        arrays |= {
            f"{name}_users": part.users_N,
            f"{name}_items": part.items_N,
            f"{name}_sets": part.sets_NK,
        }
        dropped |= {f"{name}_{reason}": count for reason, count in reasons.items()}
    return arrays, dropped


def stored_part(arrays: dict[str, NDArray[Any]], name: str) -> Part:
    """Return a part of a data set from the arrays that `number_parts` made of it."""
    return Part(arrays[f"{name}_users"], arrays[f"{name}_items"], arrays[f"{name}_sets"])
