"""The objective function of a study: suggest a configuration, build the model, train it, report figures, prune, pause.

`Objective` never lets an exception of a training escape where the trial can be given an end instead: whatever happens
becomes a `TrialResult` with a state and a reason, which the worker stores. Only the loss of the database is raised.
"""

import errno
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
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
from blade_tune.search.promotion import Ladder, Standing
from blade_tune.search.replicates import replicate_index
from blade_tune.search.samplers import warmup_epochs
from blade_tune.space import nest
from blade_tune.spec.definition import StudyDefinition, max_length
from blade_tune.spec.fingerprint import is_audited, training_seed
from blade_tune.storage.folder import StudyFolder, TrialFolder, write_text
from blade_tune.storage.spending import Limit
from blade_tune.storage.trial_record import EndReason, Given, TrialRecord, attributes
from blade_tune.storage.trials import given_values, own_values, root_number
from blade_tune.training.config import TrainConfig
from blade_tune.training.device_data import DeviceData
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.training.fitting import Fitting
from blade_tune.training.loop import Hooks, Training, TrainingResult
from blade_tune.training.moves import measure_moves
from blade_tune.training.threads import use_all_threads, use_threads
from blade_tune.trial.callback import Callback
from blade_tune.trial.clock import Clock
from blade_tune.trial.files import write_ranks
from blade_tune.trial.log import logged_to
from blade_tune.trial.member_weights import member_states
from blade_tune.trial.model import build_study_model
from blade_tune.trial.provenance import software_lines

log = logging.getLogger(__name__)

# Parts of the messages by which a RuntimeError of torch says that memory ran out.
OUT_OF_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "CUDA out of memory",
    "CUDA error: out of memory",
)


def build_training(
    definition: StudyDefinition,
    values: Mapping[str, Value],
    data: SearchData,
    device_data: DeviceData,
    seed: int,
    threads: int | None = None,
) -> Training | Fitting:
    """Build the training, or for a fitted model the fit, of one configuration, with all randomness drawn from `seed`.

    Sets the number of CPU threads of this process.

    Args:
        definition: the study.
        values: the configuration, by dotted parameter name; what is left out has its default.
        data: the study's search data.
        device_data: the search data's tensors on the device to train on.
        seed: seed of the initial weights and of everything drawn in training.
        threads: number of CPU threads of an earlier training to repeat bit for bit, since the order of a CPU's sums
            depends on it; None to choose it by the configuration.

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
        # The model starts on the CPU, so that every device starts from equal weights.
        model.start(device_data.item_factors)
        return Training(
            model=model.to(device),
            windows=device_data.windows,
            negatives=device_data.negatives,
            config=train,
            metric=definition.objective.metric,
        )
    if isinstance(model, FittedRecommender):
        use_all_threads(threads)
        return Fitting(model.to(device), device_data.rows, seed, device)
    raise TypeError(f"{definition.model} is neither trained nor fitted.")


class TrialPausedError(optuna.TrialPruned):
    """Raised at a rung where a trial is not among the best, once its checkpoint is written."""


@dataclass(frozen=True)
class TrialResult:
    """The end of a trial: its state, its value, and why it ended; docs/studies.md describes the reasons."""

    state: TrialState
    value: float | None = None  # of the study's metric; None unless the trial is complete
    reason: EndReason | None = None  # None for a trial that trained to its own end
    message: str = ""  # details of the reason, for people
    # An error that ends the whole run, to be raised once the trial is stored
    error: BladeTuneError | None = None

    @property
    def is_continued(self) -> bool:
        """Whether the study continues this trial from its checkpoint, in a later row."""
        return self.reason is not None and self.reason.is_continued


class Objective:
    """The function that Optuna maximizes: the best validation figure of a training.

    Optuna's trials are rows of the study. A row that continues an interrupted one refers to the first row of the trial,
    its root, and trains in the root's folder. However a trial ends, its checkpoint stays on disk; the worker removes it
    once the end is stored.

    Args:
        definition: the study.
        data: the study's search data.
        folder: the study's folder, with a subfolder for each trial.
        device: the device to train on.
        callback: receives the events of every trial.
        should_stop: called after every epoch; True interrupts the trial, which is then continued later.
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
        self.ladder = Ladder.of(definition.search.pruner, definition.train)
        # Tensors depend on the window length only, which may be searched: the latest few lengths stay on the device.
        self.device_data = lru_cache(maxsize=4)(
            lambda length: DeviceData.for_search(data, length, definition.objective, device)
        )

    def __call__(self, trial: Trial, check_lease: Callable[[], None] = lambda: None) -> TrialResult:
        """Run one trial and return how it ended.

        Args:
            trial: a trial that was asked for, with no parameter suggested yet, or with those of the interrupted row
                that it continues.
            check_lease: called after every epoch; raises LeaseLostError where the trial belongs to another worker by
                now.

        Raises:
            StorageInternalError: the study's database could not be reached for too long.
        """
        folder = self.folder.trial(root_number(trial))
        # A new trial's folder must be empty. Files in it are from a trial of this number in an earlier state of the
        # study, which the database does not know any more.
        if TrialRecord.root not in TrialRecord(trial):
            remove(folder.path)
        make_folder(folder.path)
        with logged_to(folder):
            try:
                return self._train(trial, folder, check_lease)
            except TrialPausedError as error:
                return TrialResult(TrialState.PRUNED, reason=EndReason.PAUSED, message=str(error))
            except optuna.TrialPruned:
                return TrialResult(TrialState.PRUNED, reason=EndReason.PRUNED)
            except (StorageInternalError, SQLAlchemyError):
                raise
            except (LeaseLostError, UpdateFinishedTrialError) as error:
                return TrialResult(TrialState.FAIL, reason=EndReason.SUPERSEDED, message=str(error))
            except (InterruptedStudyError, KeyboardInterrupt) as error:
                return TrialResult(
                    TrialState.FAIL, reason=EndReason.INTERRUPTED, message=str(error)
                )
            except NonFiniteError as error:
                return TrialResult(TrialState.FAIL, reason=EndReason.NOT_FINITE, message=str(error))
            except ConfigError as error:
                return TrialResult(TrialState.PRUNED, reason=EndReason.INVALID, message=str(error))
            except Exception as error:
                return _end_of(error, trial.number, folder)

    def _train(
        self, trial: Trial, folder: TrialFolder, check_lease: Callable[[], None]
    ) -> TrialResult:
        """Train a trial to its end, and store in the database what it was and what it has cost."""
        values, seed = self._settle(trial)
        record = TrialRecord(trial)
        record.seed = seed
        write_text(folder.config, write_yaml(nest(values)))
        self.callback.trial_started(trial.number, own_values(self.definition.space, trial))

        # Build the model. The threads are those of an interrupted attempt, so that sums come out equal.
        device_data = self.device_data(max_length(self.definition, values))
        threads = record.get(TrialRecord.threads)
        training = build_training(self.definition, values, self.data, device_data, seed, threads)
        record.threads = torch.get_num_threads()
        record.write(attributes(**software_lines(device_data.windows.device)))

        # Train it. A pruned or failed trial has its cost stored too.
        clock = Clock(trial)
        try:
            result = training.run(self._hooks(trial, folder, training, clock, check_lease))
        finally:
            with suppress(UpdateFinishedTrialError):
                record.num_parameters = training.model.num_parameters
                record.epochs = len(training.history)
                _store_cost(record, training)
                clock.store()
        _keep(trial, folder, result)
        if Given.of(trial):
            # The worker that has trained a run has its weights; a report may be made on another machine.
            training.model.load_state_dict(result.weights)
            record.moves = measure_moves(training.model, device_data.evaluator)
        value = result.metrics[self.metric]
        if result.is_cut:
            message = f"ended after epoch {len(result.history)}, when the study had spent its {Limit.of(trial.study)}."
            return TrialResult(TrialState.COMPLETE, value, EndReason.BUDGET, message)
        return TrialResult(TrialState.COMPLETE, value)

    def _settle(self, trial: Trial) -> tuple[dict[str, Value], int]:
        """Return a trial's configuration and training seed: those given with it, else what the sampler proposes."""
        space = self.definition.space
        fixed = Given.of(trial)
        if fixed:
            return given_values(space, fixed), fixed.seed
        # The whole configuration is suggested before anything can end the trial.
        values = space.suggest(trial)
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
        """Return the functions through which a training reports its epochs and is pruned or interrupted."""
        root = root_number(trial)

        def on_epoch(record: EpochRecord) -> None:
            self.callback.epoch_ended(trial.number, record)
            if not record.metrics:
                return

            # Store the evaluation.
            figure = record.metrics[self.metric]
            lines = [json.dumps(vars(past)) + "\n" for past in training.history]
            write_text(folder.metrics, "".join(lines))
            clock.read(training.history, record.epoch, figure)
            trial.report(figure, record.epoch)
            # Epochs before the checkpoint's are a replay. At its own the trial may have been about to pause.
            is_replay = record.epoch < training.num_restored
            if self._is_rung(record.epoch) and not (is_replay or training.is_over or is_spent()):
                self._pause(trial, record.epoch)

            # The pruner is asked even if its answer is not used: it records the trial's rungs when it is asked.
            is_weak = record.epoch > self.warmup and trial.should_prune()
            # A restored epoch is a replay. The trial survived it before, and better trials since then do not matter.
            if not is_weak or record.epoch <= training.num_restored:
                return
            # A random share of the trials is trained to the end all the same, to measure what the pruner loses.
            search = self.definition.search
            if not is_audited(search.seed, root, search.pruner.audit):
                raise optuna.TrialPruned(f"pruned at epoch {record.epoch}")
            if TrialRecord.pruned_at not in TrialRecord(trial):
                TrialRecord(trial).pruned_at = record.epoch

        def should_stop() -> bool:
            # This comes before the checkpoint is written, which may belong to another worker by now.
            check_lease()
            return self.should_stop()

        def is_spent() -> bool:
            limit = Limit.of(trial.study)
            if limit is None:
                return False
            # Workers see by this what each other's trials have spent.
            _store_cost(TrialRecord(trial), training)
            return limit.is_reached(trial.study.get_trials(deepcopy=False))

        evaluator = self.device_data(training.model.max_length).evaluator
        return Hooks(evaluator, on_epoch, should_stop, is_spent, folder.checkpoint)

    def _is_rung(self, epoch: int) -> bool:
        return self.ladder is not None and epoch in self.ladder.rungs

    def _pause(self, trial: Trial, epoch: int) -> None:
        """Raise an error if the trial is to pause at a rung, at which it has reported its figure."""
        rows = trial.study.get_trials(deepcopy=False)
        standing = Standing.of(trial.study, self.definition, rows)
        if standing and standing.pauses(rows[trial.number], epoch):
            place, count = standing.place(root_number(trial), epoch)
            raise TrialPausedError(f"after epoch {epoch}, ranked {place} of {count}")


def _end_of(error: Exception, number: int, folder: TrialFolder) -> TrialResult:
    """Return the end of a trial whose training raised an unexpected error, by the kind of the error."""
    if is_out_of_memory(error):
        first_line = str(error).strip().partition("\n")[0]
        return TrialResult(
            TrialState.PRUNED,
            reason=EndReason.OUT_OF_MEMORY,
            message=first_line or "out of memory",
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        message = f"{folder.path}: {error.strerror}; make room, then run the same command again."
        return TrialResult(
            TrialState.FAIL,
            reason=EndReason.INTERRUPTED,
            message=message,
            error=DiskFullError(message),
        )
    log.exception("trial=%d failed", number)
    return TrialResult(
        TrialState.FAIL, reason=EndReason.ERROR, message=f"{type(error).__name__}: {error}"
    )


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error says that the GPU or the machine ran out of memory.

    Torch raises a plain RuntimeError when it cannot allocate the machine's memory, so that its message has to be read.
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)


def _store_cost(record: TrialRecord, training: Training | Fitting) -> None:
    """Store what a trial has spent so far, in all of its attempts."""
    record.steps = training.num_steps
    record.seconds = round(sum(epoch.seconds for epoch in training.history), 3)
    record.cpu_seconds = round(sum(epoch.cpu_seconds for epoch in training.history), 3)


def _keep(trial: Trial, folder: TrialFolder, result: TrainingResult) -> None:
    """Store the best epoch of a finished training: weights and ranks as files, metrics in the database."""
    write_whole(folder.weights, save(result.weights))
    write_ranks(folder.ranks, result.ranks_U.numpy())
    record = TrialRecord(trial)
    record.best_epoch = result.best_epoch
    record.metrics = result.metrics
