"""Reproduction of a trial: trains it again with equal configuration, seed, data and threads, and compares each epoch.

A reproduction without any difference also restores the trial's files of ranks and weights where they are damaged or
missing, since their bytes are known to be the same.
"""

import hashlib
import logging
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from optuna.trial import FrozenTrial
from safetensors.torch import save

from blade_tune.data.store import SearchData
from blade_tune.errors import (
    ConfigError,
    DamagedFileError,
    InterruptedStudyError,
    ReproductionError,
)
from blade_tune.files import write_whole
from blade_tune.selection.runs import is_complete
from blade_tune.spec.definition import max_length
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.storage.trials import root_number, trial_of
from blade_tune.study.stored import StoredStudy
from blade_tune.training.device_data import DeviceData
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.training.loop import Hooks, TrainingResult
from blade_tune.trial.files import ranks_content, read_epochs, read_ranks, read_weights
from blade_tune.trial.objective import build_training
from blade_tune.trial.provenance import software_lines

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reproduction:
    """The result of a reproduction."""

    trial: int
    epochs: int  # number of epochs compared
    largest_difference: float  # relative, over all losses and metrics of all epochs
    changed: tuple[str, ...]  # versions, commit or device that differ from the trial's, in words
    # The paths of files that were missing or damaged and have been restored.
    written: tuple[str, ...] = ()


@dataclass(frozen=True)
class Past:
    """The stored record of a trial, with which a reproduction is compared.

    It is read from the trial's metrics file. Where that is damaged, only the figures that were reported to the database
    are left: the study's metric at the evaluated epochs.
    """

    stored: StoredStudy
    trial: FrozenTrial
    records: list[dict[str, Any]]  # of epochs, in the form of `EpochRecord`
    is_whole: bool = True  # whether the records are from the metrics file

    @classmethod
    def of(cls, stored: StoredStudy, number: int) -> "Past":
        """Return the record of the trial with a number.

        Raises:
            ConfigError: there is no such trial, or it has no metrics file in this results folder.
        """
        trials = stored.trials
        trial = trial_of(trials, number, stored.definition.name)
        # A row that another goes on from has its epochs in the file that the latest row of its trial has left.
        latest = next(row for row in reversed(trials) if root_number(row) == root_number(trial))
        files = stored.files(latest)
        path = files.metrics
        if not path.exists():
            raise ConfigError(
                f"{path}: trial {number} has stored no epoch here; give --results as `run` had it."
            )
        try:
            return cls(stored, trial, read_epochs(files))
        except DamagedFileError as error:
            log.warning("%s The trial is compared with what the database has of it.", error)
        metric = stored.definition.objective.metric
        reported = sorted(trial.intermediate_values.items())
        records = [{"epoch": epoch, "metrics": {metric: value}} for epoch, value in reported]
        return cls(stored, trial, records, is_whole=False)

    @property
    def epochs(self) -> int:
        """The number of epochs that the trial trained, as far as the records tell."""
        return int(max((record["epoch"] for record in self.records), default=0))

    def compare(self, record: EpochRecord, tolerance: float) -> float:
        """Return the largest relative difference of a repeated epoch's figures to the stored ones.

        Args:
            record: the repeated epoch.
            tolerance: the largest relative difference to accept.

        Raises:
            ReproductionError: a figure differs by more; the message names the first one.
        """
        before = self._figures_at(record.epoch)
        now = _figures(vars(record))
        # Metrics that an evaluated epoch lacks were added to the package after the trial.
        if any(metric in before for metric in record.metrics):
            added = record.metrics.keys() - before.keys()
            now = {name: figure for name, figure in now.items() if name not in added}
        names = dict.fromkeys((*before, *now)) if self.is_whole else before
        largest = 0.0
        for name in names:
            difference = _relative(before.get(name, math.nan), now.get(name, math.nan))
            # A comparison with `not`, which is also true for NaN, where one of the figures is missing.
            if not difference <= tolerance:
                raise ReproductionError(
                    f"trial {self.trial.number}: epoch {record.epoch} differs first: {name} was {before.get(name)!r}, "
                    f"is now {now.get(name)!r} (relative difference {difference:.3g})."
                )
            largest = max(largest, difference)
        return largest

    def _figures_at(self, epoch: int) -> dict[str, float]:
        """Return the stored figures of an epoch; empty where there are none."""
        for record in self.records:
            if record["epoch"] == epoch:
                return _figures(record)
        return {}


def make_again(
    past: Past,
    data: SearchData,
    device: torch.device,
    tolerance: float = 0.0,
    on_epoch: Callable[[EpochRecord], None] = lambda _: None,
) -> Reproduction:
    """Train a trial again for as many epochs as it had, and compare every loss and metric of every epoch.

    Args:
        past: the trial's record.
        data: the study's data, whose hash has been checked.
        device: the device to train on; bit-identical results need the same kind of device.
        tolerance: the largest relative difference to accept.
        on_epoch: called with each repeated epoch, before it is compared.

    Raises:
        ReproductionError: a figure differs, or the training ends earlier. The message names the first such epoch and
            figure, and the versions that have changed.
    """
    definition, trial = past.stored.definition, past.trial
    # The same training
    values = past.stored.values(trial)
    length = max_length(definition, values)
    device_data = DeviceData.for_search(data, length, definition.objective, device)
    record = TrialRecord(trial)
    seed, threads = record.seed, record.get(TrialRecord.threads)
    training = build_training(definition, values, data, device_data, seed, threads)
    changed = tuple(_changes(record.stored, software_lines(device)))
    differences: list[float] = []

    def compare(record: EpochRecord) -> None:
        on_epoch(record)
        differences.append(past.compare(record, tolerance))

    def is_at_end() -> bool:
        return len(training.history) == past.epochs

    try:
        with suppress(InterruptedStudyError):  # raised on purpose, after the last stored epoch
            training.run(Hooks(device_data.evaluator, compare, is_at_end))
    except ReproductionError as error:
        explanation = f" Not as then: {', '.join(changed)}." if changed else ""
        raise ReproductionError(f"{error}{explanation}") from None
    if len(training.history) < past.epochs:
        raise ReproductionError(
            f"trial {trial.number}: had {past.epochs} epochs, and now ends after {len(training.history)}."
        )
    # Without any difference, the files have the bytes that they had.
    largest = max(differences, default=0.0)
    written: tuple[str, ...] = ()
    if largest == 0.0 and is_complete(trial):
        written = _restore(past, training.result)
    return Reproduction(trial.number, past.epochs, largest, changed, written)


def _restore(past: Past, result: TrainingResult) -> tuple[str, ...]:
    """Write a completed trial's ranks and weights where they are damaged or missing, and return the paths written.

    A file is written only if it gets the digest that the database has of it, or the database has none. Missing weights
    are restored for runs only: a search keeps the weights of its best trials, so that those of others are missing on
    purpose.
    """
    files = past.stored.files(past.trial)
    is_search = not past.stored.definition.is_given
    restorable = (
        (files.ranks, read_ranks, ranks_content(result.ranks_U.numpy())),
        (files.weights, read_weights, save(result.weights)),
    )
    written = []
    for path, read, content in restorable:
        if is_search and path == files.weights and not path.exists():
            continue
        try:
            read(files)
        except DamagedFileError as error:
            digest = hashlib.sha256(content).hexdigest()
            if files.digests.get(path.name, digest) != digest:
                log.warning(
                    "%s It is not written again: its bytes would not be those of before.", error
                )
                continue
            write_whole(path, content)
            written.append(str(path))
    return tuple(written)


def _figures(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of an epoch's record to compare: losses, learning rate and metrics, but no times."""
    figures = {f"loss.{name}": value for name, value in record.get("losses", {}).items()}
    learning_rate = record.get("learning_rate")
    if learning_rate is not None:
        figures["learning_rate"] = learning_rate
    return {**figures, **record["metrics"]}


def _relative(before: float, now: float) -> float:
    if before == now:
        return 0.0
    return abs(now - before) / max(abs(before), abs(now))


def _changes(then: Mapping[str, Any], now: Mapping[str, str]) -> list[str]:
    """Return a phrase for each version or device that was another then; what was not stored counts as unchanged."""
    return [
        f"{name} {then[name]} -> {text}"
        for name, text in now.items()
        if then.get(name, text) != text
    ]
