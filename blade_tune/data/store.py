"""Prepared data: what the search sees, built once per content and mapped from disk ever after."""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from blade_tune.batch import Catalog, Interactions
from blade_tune.data import digest, folder
from blade_tune.data.config import DataConfig
from blade_tune.data.numbering import Numbering
from blade_tune.data.sequences import Windows, bounds_of, in_user_order
from blade_tune.data.sources.base import Source, open_source
from blade_tune.data.table import Part, pair_counts, unmet_before, user_item_keys
from blade_tune.errors import DataError

Phase = Literal["train", "valid"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SearchData:
    """Train and valid of a data set under internal ids, memory-mapped; nothing in it comes from between or test."""

    config: DataConfig
    train: Part
    valid: Part
    user_ids_U: NDArray[np.int64]  # raw id of each internal one; index 0 is padding
    item_ids_V: NDArray[np.int64]
    data_hash: str  # of the prepared rows, the ids and the meaning of the columns
    dropped: dict[str, int]  # rows of train and valid that were left out, by part and reason
    path: Path

    @property
    def num_users(self) -> int:
        """U; users are 1..U, and each has a train row."""
        return len(self.user_ids_U) - 1

    @property
    def num_items(self) -> int:
        """V; items are 1..V, and each has a train row."""
        return len(self.item_ids_V) - 1

    @cached_property
    def catalog(self) -> Catalog:
        """What a model may know of the data set."""
        pair_counts_KK = self._derived("pair_counts").numpy()
        return Catalog(
            num_users=self.num_users,
            num_items=self.num_items,
            behaviors=self.config.behaviors,
            auxiliary=self.config.auxiliary_column,
            behavior_counts_K=pair_counts_KK.diagonal().copy(),
            pair_counts_KK=pair_counts_KK,
        )

    def windows(self, phase: Phase, max_length: int) -> Windows:
        """One row a user; in phase valid, the last target of a user with a valid row is that row."""
        names = ("history_items", "history_sets", "history_starts", f"{phase}_ends")
        return Windows(max_length, *map(self._derived, names))

    def user_item_keys(self) -> Tensor:
        """Sorted unique user * (num_items + 1) + item of the train rows: the history before the valid rows too."""
        return self._derived("met_keys")

    def unmet_before(self) -> Tensor:
        """`unmet_before` of these keys."""
        return self._derived("unmet_before")

    def _derived(self, name: str) -> Tensor:
        return folder.tensor(self.path, name)


def prepare(config: DataConfig, directory: Path | None, root: Path) -> SearchData:
    """Map the prepared data from `root`, building it first where this content was never prepared.

    Args:
        config: the data set.
        directory: where its files are; None for a source without files.
        root: a folder to keep prepared data in.

    Raises:
        DataError: files are missing or malformed, or nothing is left to train or to validate on.
    """
    source = open_source(config, directory)
    path = root / ".prepared" / source.search_key()
    if not folder.has_checksums(path):
        _build(source, config, path)
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


def _build(source: Source, config: DataConfig, path: Path) -> None:
    train, valid = source.search()
    numbering = Numbering.of(train)
    arrays, dropped = number_parts(numbering, train=train, valid=valid)
    for name in ("train", "valid"):
        if not len(arrays[f"{name}_users"]):
            raise DataError(f"{config.name}: {name} must keep at least one row, got none (left out: {dropped}).")
    arrays |= {"user_ids": numbering.user_ids_U, "item_ids": numbering.item_ids_V}
    derived = _derived(stored_part(arrays, "train"), stored_part(arrays, "valid"), numbering)
    data_hash = digest.content_hash(arrays, behaviors=config.behaviors, auxiliary=config.auxiliary)
    folder.write(path, arrays | derived, {"data_hash": data_hash, "dropped": dropped})
    log.info("prepared name=%s hash=%s left_out=%d path=%s", config.name, data_hash, sum(dropped.values()), path)


def _derived(train: Part, valid: Part, numbering: Numbering) -> dict[str, NDArray[Any]]:
    """What every worker would have to compute from the rows, and keep for itself."""
    num_users, num_items = len(numbering.user_ids_U) - 1, len(numbering.item_ids_V) - 1
    history = in_user_order([train, valid])
    starts_U, ends_U = bounds_of(history.users_N, num_users)
    train_starts_U, train_ends_U = bounds_of(train.users_N, num_users)
    keys_N = user_item_keys([train], num_items)
    return {
        "history_items": history.items_N,
        "history_sets": history.sets_NK,
        "history_starts": starts_U,
        "train_ends": starts_U + train_ends_U - train_starts_U,
        "valid_ends": ends_U,
        "met_keys": keys_N,
        "unmet_before": unmet_before(keys_N, num_items),
        "pair_counts": pair_counts(train.sets_NK),
    }


def number_parts(numbering: Numbering, **parts: Interactions) -> tuple[dict[str, NDArray[Any]], dict[str, int]]:
    """The named parts as the arrays that are stored, and the rows dropped by part and reason."""
    arrays: dict[str, NDArray[Any]] = {}
    dropped: dict[str, int] = {}
    for name, rows in parts.items():
        part, reasons = numbering.part(rows)
        arrays |= {f"{name}_users": part.users_N, f"{name}_items": part.items_N, f"{name}_sets": part.sets_NK}
        dropped |= {f"{name}_{reason}": count for reason, count in reasons.items()}
    return arrays, dropped


def stored_part(arrays: dict[str, NDArray[Any]], name: str) -> Part:
    """The part that `number_parts` put among the arrays."""
    return Part(arrays[f"{name}_users"], arrays[f"{name}_items"], arrays[f"{name}_sets"])
