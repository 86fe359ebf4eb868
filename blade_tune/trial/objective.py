"""One trial: suggest, build, train, report, prune."""

import errno
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache

import optuna
import torch
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import Trial, TrialState
from safetensors.torch import save
from sqlalchemy.exc import SQLAlchemyError

from blade_tune.config import parse, write_yaml
from blade_tune.data.store import SearchData
from blade_tune.errors import (
    BladeTuneError,
    ConfigError,
    DiskFullError,
    InterruptedStudyError,
    LeaseLostError,
    NonFiniteError,
)
from blade_tune.files import make_folder, remove, write_whole
from blade_tune.models.base import NeuralRecommender
from blade_tune.models.combination import Combination
from blade_tune.models.fitted import FittedRecommender
from blade_tune.parameter import Value
from blade_tune.search.replicates import replicate_index
from blade_tune.search.samplers import warmup_epochs
from blade_tune.space import nest
from blade_tune.spec.definition import StudyDefinition, max_length
from blade_tune.spec.fingerprint import is_audited, training_seed
from blade_tune.storage.folder import StudyFolder, TrialFolder, write_text
from blade_tune.storage.trial_record import EndReason, Given, TrialRecord, attributes
from blade_tune.storage.trials import root_number
from blade_tune.training.config import TrainConfig
from blade_tune.training.device_data import DeviceData
from blade_tune.training.fitting import Fitting
from blade_tune.training.loop import EpochRecord, Hooks, Training, TrainingResult
from blade_tune.training.threads import use_all_threads, use_threads
from blade_tune.trial.callback import Callback
from blade_tune.trial.clock import Clock
from blade_tune.trial.files import write_ranks
from blade_tune.trial.member_weights import member_states
from blade_tune.trial.model import build_study_model
from blade_tune.trial.provenance import software_lines

log = logging.getLogger(__name__)

OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "CUDA out of memory", "CUDA error: out of memory")


def build_training(
    definition: StudyDefinition,
    values: Mapping[str, Value],
    data: SearchData,
    device_data: DeviceData,
    seed: int,
    threads: int | None = None,
) -> Training | Fitting:
    """The training or fit of one configuration, everything random in it drawn from `seed`.

    On a CPU the last bits are a function of the number of threads too: give that of a training that shall be repeated.

    Raises:
        ConfigError: the values break a rule of the model's Config.
    """
    settings = nest(values)
    place = f"study {definition.name}"
    torch.manual_seed(seed)
    model = build_study_model(definition, values, data.catalog, place)
    if isinstance(model, Combination):
        model.load_members(member_states(definition))
    device = device_data.windows.device
    if isinstance(model, NeuralRecommender):
        train = parse(TrainConfig, settings.get("train", {}), f"{place}: train")
        use_threads(train.batch_size, model.max_length, model.embedding_size, threads)
        model.start(device_data.item_factors)  # drawn and begun on the CPU, equal everywhere
        return Training(
            model.to(device), device_data.windows, device_data.negatives, train, definition.objective.metric
        )
    if isinstance(model, FittedRecommender):
        use_all_threads(threads)
        return Fitting(model.to(device), device_data.rows, seed, device)
    raise TypeError(f"{definition.model} is neither trained nor fitted.")


@dataclass(frozen=True)
class TrialResult:
    """How a trial ended; see docs/studies.md for the reasons."""

    state: TrialState
    value: float | None = None
    reason: EndReason | None = None
    message: str = ""
    error: BladeTuneError | None = None  # ends the run too, once the trial is stored

    @property
    def is_continued(self) -> bool:
        """Whether a later row goes on from here."""
        return self.reason is not None and self.reason.is_continued


class Objective:
    """What Optuna maximizes: the best validation figure of a training.

    A trial is one row of the study; a row that goes on from an interrupted one has the number of the first, its root,
    and trains in that one's folder. However a trial ends, its checkpoint is left for whoever stores the end.

    Args:
        definition: the study.
        data: its search data.
        folder: where trials keep their files.
        device: where models train.
        callback: hears every event.
        should_stop: asked after every epoch.
    """

    def __init__(
        self,
        definition: StudyDefinition,
        data: SearchData,
        folder: StudyFolder,
        device: torch.device,
        callback: Callback,
        should_stop: Callable[[], bool],
    ) -> None:
        self.definition = definition
        self.data = data
        self.folder = folder
        self.callback = callback
        self.should_stop = should_stop
        self.metric = definition.objective.metric
        self.warmup = warmup_epochs(definition.search.pruner, definition.train)
        self.device_data = lru_cache(maxsize=4)(
            lambda length: DeviceData.for_search(data, length, definition.objective, device)
        )

    def __call__(self, trial: Trial, check_lease: Callable[[], None] = lambda: None) -> TrialResult:
        """Run one trial.

        Args:
            trial: asked for, with no parameter suggested yet or with those it goes on with.
            check_lease: raises LeaseLostError where the trial is not this process's any more; asked after every epoch.

        Raises:
            StorageInternalError: the study's database is away for good.
        """
        folder = self.folder.trial(root_number(trial))
        if TrialRecord.root not in TrialRecord(
            trial
        ):  # what is there is of a trial of this number in an older state of the study
            remove(folder.path)
        make_folder(folder.path)
        with logged_to(folder):
            try:
                return self._train(trial, folder, check_lease)
            except optuna.TrialPruned:
                return TrialResult(TrialState.PRUNED, reason=EndReason.PRUNED)
            except (StorageInternalError, SQLAlchemyError):
                raise
            except (LeaseLostError, UpdateFinishedTrialError) as error:
                return TrialResult(TrialState.FAIL, reason=EndReason.SUPERSEDED, message=str(error))
            except (InterruptedStudyError, KeyboardInterrupt) as error:
                return TrialResult(TrialState.FAIL, reason=EndReason.INTERRUPTED, message=str(error))
            except NonFiniteError as error:
                return TrialResult(TrialState.FAIL, reason=EndReason.NOT_FINITE, message=str(error))
            except ConfigError as error:
                return TrialResult(TrialState.PRUNED, reason=EndReason.INVALID, message=str(error))
            except Exception as error:
                return _end_of(error, trial.number, folder)

    def _train(self, trial: Trial, folder: TrialFolder, check_lease: Callable[[], None]) -> TrialResult:
        values, seed = self._settle(trial)
        record = TrialRecord(trial)
        record.seed = seed
        write_text(folder.config, write_yaml(nest(values)))
        self.callback.trial_started(trial.number, values)
        device_data = self.device_data(max_length(self.definition, values))
        threads = record.get(TrialRecord.threads)  # of the attempt before: sums depend on their number
        training = build_training(self.definition, values, self.data, device_data, seed, threads)
        record.threads = torch.get_num_threads()
        record.write(attributes(**software_lines(device_data.windows.device)))
        clock = Clock(trial)
        try:
            outcome = training.run(self._hooks(trial, folder, training, clock, check_lease))
        finally:  # what a trial has cost is known however it ends
            with suppress(UpdateFinishedTrialError):
                record.num_parameters = training.model.num_parameters
                record.epochs = len(training.history)
                record.seconds = round(sum(epoch.seconds for epoch in training.history), 3)
                clock.store()
        _keep(trial, folder, outcome)
        return TrialResult(TrialState.COMPLETE, outcome.metrics[self.metric])

    def _settle(self, trial: Trial) -> tuple[dict[str, Value], int]:
        """The configuration and the training seed: as given, or as the sampler proposes them."""
        if given := Given.of(trial):
            return dict(given.values), given.seed
        space = self.definition.space
        values = space.suggest(trial)  # all of it, before anything can end the trial
        replicate = replicate_index(space, trial.study.get_trials(deepcopy=False), trial)
        TrialRecord(trial).replicate = replicate
        return values, training_seed(self.definition.search.seed, values, replicate)

    def _hooks(
        self,
        trial: Trial,
        folder: TrialFolder,
        training: Training | Fitting,
        clock: Clock,
        check_lease: Callable[[], None],
    ) -> Hooks:
        root = root_number(trial)

        def on_epoch(record: EpochRecord) -> None:
            self.callback.epoch_ended(trial.number, record)
            if not record.metrics:
                return
            write_text(folder.metrics, "".join(json.dumps(vars(past)) + "\n" for past in training.history))
            clock.read(training.history, record.epoch, record.metrics[self.metric])
            trial.report(record.metrics[self.metric], record.epoch)
            is_weak = record.epoch > self.warmup and trial.should_prune()  # asked always, since rungs are kept there
            if not is_weak or record.epoch <= training.num_restored:  # before that, it was good enough in its time
                return
            if not is_audited(self.definition.search.seed, root, self.definition.search.pruner.audit):
                raise optuna.TrialPruned(f"pruned at epoch {record.epoch}")
            if TrialRecord.pruned_at not in TrialRecord(trial):
                TrialRecord(trial).pruned_at = record.epoch

        def should_stop() -> bool:
            check_lease()  # before the checkpoint, which may be another worker's by now
            return self.should_stop()

        evaluator = self.device_data(training.model.max_length).evaluator
        return Hooks(evaluator, on_epoch, should_stop, folder.checkpoint)


def _end_of(error: Exception, number: int, folder: TrialFolder) -> TrialResult:
    """The end of a trial that nobody meant to end."""
    if is_out_of_memory(error):
        return TrialResult(
            TrialState.PRUNED,
            reason=EndReason.OUT_OF_MEMORY,
            message=str(error).strip().partition("\n")[0] or "out of memory",
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        message = f"{folder.path}: {error.strerror}; make room, then run the same command again."
        return TrialResult(TrialState.FAIL, reason=EndReason.INTERRUPTED, message=message, error=DiskFullError(message))
    log.exception("trial=%d failed", number)
    return TrialResult(TrialState.FAIL, reason=EndReason.ERROR, message=f"{type(error).__name__}: {error}")


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, on the GPU or beside it; for the latter torch has no class of its own."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)


def _keep(trial: Trial, folder: TrialFolder, outcome: TrainingResult) -> None:
    """Store what a finished training is remembered by."""
    write_whole(folder.weights, save(outcome.weights))
    write_ranks(folder.ranks, outcome.ranks_U.numpy())
    record = TrialRecord(trial)
    record.best_epoch = outcome.best_epoch
    record.metrics = outcome.metrics


class _TrialLog(logging.FileHandler):
    """A trial's own log: what cannot be written to it, as on a full disk, is left out with one warning."""

    _is_broken = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002 - logging's name
        """Say so once, where it is heard besides."""
        if not self._is_broken:
            self._is_broken = True
            log.warning("%s cannot be written: lines of it are missing", self.baseFilename)

    def close(self) -> None:
        """Close it, whatever is left to be written."""
        with suppress(OSError):
            super().close()


@contextmanager
def logged_to(folder: TrialFolder) -> Iterator[None]:
    """Have everything the package logs in the trial's own file too."""
    try:
        handler = _TrialLog(folder.log, encoding="utf-8")
    except OSError as error:
        log.warning("%s cannot be written (%s): this trial has no log", folder.log, error.strerror)
        yield
        return
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger("blade_tune")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
