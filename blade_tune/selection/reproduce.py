"""A trial made again: same configuration, seed, data and threads, compared epoch by epoch with what it stored."""

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
from blade_tune.errors import ConfigError, DamagedFileError, InterruptedStudyError, ReproductionError
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
    """What was compared."""

    trial: int
    epochs: int
    largest_difference: float  # relative, over all losses and metrics of all epochs
    changed: tuple[str, ...]  # versions, commit or device that are not those of the trial
    written: tuple[str, ...] = ()  # files that were missing or damaged, and are there again


@dataclass(frozen=True)
class Past:
    """A trial as it went."""

    stored: StoredStudy
    trial: FrozenTrial
    records: list[dict[str, Any]]  # of its epochs, or where their file is damaged of those that it reported
    is_whole: bool = True  # whether the records are those of the file

    @classmethod
    def of(cls, stored: StoredStudy, number: int) -> "Past":
        """Look it up.

        Raises:
            ConfigError: there is no such trial, or it stored no epoch here.
        """
        trials = stored.trials
        if number >= len(trials):
            raise ConfigError(f"study {stored.definition.name} has trials 0 to {len(trials) - 1}, got {number}.")
        trial = trials[number]
        path = stored.files(trial).metrics
        if not path.exists():
            raise ConfigError(f"{path}: trial {number} has stored no epoch here; give --results as `run` had it.")
        try:
            return cls(stored, trial, read_epochs(stored.files(trial)))
        except DamagedFileError as error:
            log.warning("%s The trial is compared with what the database has of it.", error)
        metric = stored.definition.objective.metric
        reported = sorted(trial.intermediate_values.items())
        return cls(stored, trial, [{"epoch": e, "metrics": {metric: value}} for e, value in reported], is_whole=False)

    @property
    def epochs(self) -> int:
        """How many it had."""
        return int(max((record["epoch"] for record in self.records), default=0))

    def compare(self, record: EpochRecord, tolerance: float) -> float:
        """The largest relative difference of any figure of an epoch.

        Raises:
            ReproductionError: it is more than the tolerance; the message has the first figure.
        """
        largest = 0.0
        before = next((_figures(past) for past in self.records if past["epoch"] == record.epoch), {})
        now = _figures(vars(record))
        was_evaluated = any(metric in before for metric in record.metrics)
        if was_evaluated:  # what is new then are metrics that were declared after the trial
            now = {name: figure for name, figure in now.items() if name in before or name not in record.metrics}
        for name in dict.fromkeys((*before, *now)) if self.is_whole else before:
            difference = _relative(before.get(name, math.nan), now.get(name, math.nan))
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
    """Train a trial again as far as it went, and compare every loss and metric of every epoch.

    Args:
        past: the trial.
        data: of its study, checked by hash.
        device: where to train; bits are equal on the same kind only.
        tolerance: relative difference that is no difference.
        on_epoch: hears of progress.

    Raises:
        ReproductionError: with the first epoch and figure that differ, and what else is not as it was.
    """
    definition, trial = past.stored.definition, past.trial
    values = past.stored.values(trial)
    device_data = DeviceData.for_search(data, max_length(definition, values), definition.objective, device)
    record = TrialRecord(trial)
    seed, threads = record.seed, record.get(TrialRecord.threads)
    training = build_training(definition, values, data, device_data, seed, threads)
    changed = tuple(_changes(record.stored, software_lines(device)))
    differences: list[float] = []

    def compare(record: EpochRecord) -> None:
        on_epoch(record)
        differences.append(past.compare(record, tolerance))

    try:
        with suppress(InterruptedStudyError):  # all stored epochs are compared
            training.run(Hooks(device_data.evaluator, compare, lambda: len(training.history) == past.epochs))
    except ReproductionError as error:
        raise ReproductionError(f"{error}{' Not as then: ' + ', '.join(changed) + '.' if changed else ''}") from None
    if len(training.history) < past.epochs:
        raise ReproductionError(
            f"trial {trial.number}: had {past.epochs} epochs, and now ends after {len(training.history)}."
        )
    largest = max(differences, default=0.0)
    written = _restore(past, training.outcome) if largest == 0.0 and is_complete(trial) else ()
    return Reproduction(trial.number, past.epochs, largest, changed, written)


def _restore(past: Past, outcome: TrainingResult) -> tuple[str, ...]:
    """Write damaged ranks and weights of a completed trial again, and missing ones, where they are what they were.

    Weights that are missing are missed of a run only: a search keeps those of its best trials.
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
            if files.digests.get(path.name, digest := hashlib.sha256(content).hexdigest()) != digest:
                log.warning("%s It is not written again: its bytes would not be those of before.", error)
                continue
            write_whole(path, content)
            written.append(str(path))
    return tuple(written)


def _figures(record: Mapping[str, Any]) -> dict[str, float]:
    losses = {f"loss.{name}": value for name, value in record.get("losses", {}).items()}
    rate = {} if record.get("learning_rate") is None else {"learning_rate": record["learning_rate"]}
    return {**losses, **rate, **record["metrics"]}


def _relative(before: float, now: float) -> float:
    return 0.0 if before == now else abs(now - before) / max(abs(before), abs(now))


def _changes(then: Mapping[str, Any], now: Mapping[str, str]) -> list[str]:
    """What was made with something else than now, in words; what is not known of then is no difference."""
    return [f"{name} {then[name]} -> {text}" for name, text in now.items() if then.get(name, text) != text]
