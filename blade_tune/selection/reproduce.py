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
from blade_tune.study.stored import StoredStudy
from blade_tune.training.device_data import DeviceData
from blade_tune.training.loop import EpochRecord, Hooks, TrainingResult
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
    # Paths of files that were missing or damaged and have been restored
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
        if number >= len(trials):
            raise ConfigError(
                f"study {stored.definition.name} has trials 0 to {len(trials) - 1}, got {number}."
            )
        trial = trials[number]
        path = stored.files(trial).metrics
        if not path.exists():
            raise ConfigError(
                f"{path}: trial {number} has stored no epoch here; give --results as `run` had it."
            )
        try:
            return cls(stored, trial, read_epochs(stored.files(trial)))
        except DamagedFileError as error:
            log.warning("%s The trial is compared with what the database has of it.", error)
        metric = stored.definition.objective.metric
        reported = sorted(trial.intermediate_values.items())
        return cls(
            stored,
            trial,
            [{"epoch": e, "metrics": {metric: value}} for e, value in reported],
            is_whole=False,
        )

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
        largest = 0.0
        before = next(
            (_figures(past) for past in self.records if past["epoch"] == record.epoch), {}
        )
        now = _figures(vars(record))
        was_evaluated = any(metric in before for metric in record.metrics)
        # Metrics that the stored epoch lacks were added to the package after the trial
        if was_evaluated:
            now = {
                name: figure
                for name, figure in now.items()
                if name in before or name not in record.metrics
            }
        for name in dict.fromkeys((*before, *now)) if self.is_whole else before:
            difference = _relative(before.get(name, math.nan), now.get(name, math.nan))
            # Also true for NaN, where one of the figures is missing
            if not difference <= tolerance:
                raise ReproductionError(
                    f"trial {self.trial.number}: epoch {record.epoch} differs first: {name} was {before.get(name)!r}, "
                    f"is now {now.get(name)!r} (relative difference {difference:.3g})."
                )
            largest = max(largest, difference)
        return largest


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
    values = past.stored.values(trial)
    device_data = DeviceData.for_search(
        data, max_length(definition, values), definition.objective, device
    )
    record = TrialRecord(trial)
    seed, threads = record.seed, record.get(TrialRecord.threads)
    training = build_training(definition, values, data, device_data, seed, threads)
    changed = tuple(_changes(record.stored, software_lines(device)))
    differences: list[float] = []

    def compare(record: EpochRecord) -> None:
        on_epoch(record)
        differences.append(past.compare(record, tolerance))

    try:
        with suppress(InterruptedStudyError):  # raised on purpose, after the last stored epoch
            training.run(
                Hooks(device_data.evaluator, compare, lambda: len(training.history) == past.epochs)
            )
    except ReproductionError as error:
        raise ReproductionError(
            f"{error}{' Not as then: ' + ', '.join(changed) + '.' if changed else ''}"
        ) from None
    if len(training.history) < past.epochs:
        raise ReproductionError(
            f"trial {trial.number}: had {past.epochs} epochs, and now ends after {len(training.history)}."
        )
    largest = max(differences, default=0.0)
    written = _restore(past, training.result) if largest == 0.0 and is_complete(trial) else ()
    return Reproduction(trial.number, past.epochs, largest, changed, written)


def _restore(past: Past, outcome: TrainingResult) -> tuple[str, ...]:
    """Write a completed trial's ranks and weights where they are damaged or missing, and return the paths written.

    A file is written only if it gets the digest that the database has of it, or the database has none. Missing weights
    are restored for runs only: a search keeps the weights of its best trials, so that those of others are missing on
    purpose.
    """
    files = past.stored.files(past.trial)
    written = []
    for path, read, content in (
        (files.ranks, read_ranks, ranks_content(outcome.ranks_U.numpy())),
        (files.weights, read_weights, save(outcome.weights)),
    ):
        if not path.exists() and path == files.weights and not past.stored.definition.is_given:
            continue
        try:
            read(files)
        except DamagedFileError as error:
            if (
                files.digests.get(path.name, digest := hashlib.sha256(content).hexdigest())
                != digest
            ):
                log.warning(
                    "%s It is not written again: its bytes would not be those of before.", error
                )
                continue
            write_whole(path, content)
            written.append(str(path))
    return tuple(written)


def _figures(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of an epoch's record to compare: losses, learning rate and metrics, but no times."""
    losses = {f"loss.{name}": value for name, value in record.get("losses", {}).items()}
    rate = {} if record.get("learning_rate") is None else {"learning_rate": record["learning_rate"]}
    return {**losses, **rate, **record["metrics"]}


def _relative(before: float, now: float) -> float:
    return 0.0 if before == now else abs(now - before) / max(abs(before), abs(now))


def _changes(then: Mapping[str, Any], now: Mapping[str, str]) -> list[str]:
    """Return a phrase for each version or device that was another then; what was not stored counts as unchanged."""
    return [
        f"{name} {then[name]} -> {text}"
        for name, text in now.items()
        if then.get(name, text) != text
    ]
