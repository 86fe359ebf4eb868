"""One trial: suggest, build, train, report, prune."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import optuna
import torch
from optuna.trial import Trial, TrialState
from safetensors.torch import save

from blade_tune.config import parse, write_yaml
from blade_tune.data.store import SearchData
from blade_tune.errors import ConfigError, InterruptedStudyError, NonFiniteError
from blade_tune.models import MODELS
from blade_tune.models.base import Recommender
from blade_tune.parameter import Value
from blade_tune.registry import load
from blade_tune.space import nest
from blade_tune.study.definition import StudyDefinition
from blade_tune.study.fingerprint import training_seed
from blade_tune.study.folder import StudyFolder, TrialFolder, write_text
from blade_tune.study.observer import Observer
from blade_tune.study.sampling import warmup_epochs
from blade_tune.study.trials import CONTINUED, root_number
from blade_tune.training.config import TrainConfig
from blade_tune.training.device_data import DeviceData
from blade_tune.training.loop import EpochRecord, Hooks, Outcome, Training
from blade_tune.training.threads import use_threads

log = logging.getLogger(__name__)


def build_training(
    definition: StudyDefinition, values: Mapping[str, Value], data: SearchData, windows: DeviceData, seed: int
) -> Training:
    """The training of one configuration, everything random in it drawn from `seed`.

    Raises:
        ConfigError: the values break a rule of the model's Config.
    """
    settings = nest(values)
    model_class: type[Recommender] = load(MODELS, "model", definition.model)
    place = f"study {definition.name}"
    config = parse(model_class.Config, settings.get("model", {}), f"{place}: model")
    train = parse(TrainConfig, settings.get("train", {}), f"{place}: train")
    use_threads(train.batch_size, config.max_length, config.embedding_size)
    torch.manual_seed(seed)
    model = model_class(config, data.catalog).to(windows.windows.users_B.device)  # drawn on the CPU, equal everywhere
    return Training(model, windows.windows, windows.negatives, train, definition.objective.metric)


class Objective:
    """What Optuna maximizes: the best validation figure of a training.

    A trial is one row of the study; a row that goes on from an interrupted one has the number of the first, its root,
    and trains in that one's folder.

    Args:
        definition: the study.
        data: its search data.
        folder: where trials keep their files.
        device: where models train.
        observer: hears every event.
        should_stop: asked after every epoch.
    """

    def __init__(
        self,
        definition: StudyDefinition,
        data: SearchData,
        folder: StudyFolder,
        device: torch.device,
        observer: Observer,
        should_stop: Callable[[], bool],
    ) -> None:
        self.definition = definition
        self.data = data
        self.folder = folder
        self.observer = observer
        self.should_stop = should_stop
        self.metric = definition.objective.metric
        self.warmup = warmup_epochs(definition.search.pruner, definition.train)
        self.device_data = lru_cache(maxsize=4)(
            lambda length: DeviceData.for_search(data, length, definition.objective, device)
        )

    def __call__(self, trial: Trial) -> float:
        """Run one trial; gives its best validation figure."""
        values = self.definition.space.suggest(trial)  # all of it, before anything can end the trial
        folder = self.folder.trial(root_number(trial.user_attrs, trial.number))
        seed = training_seed(self.definition.search.seed, values)
        trial.set_user_attr("seed", seed)
        write_text(folder.config, write_yaml(nest(values)))
        self.observer.trial_started(trial.number, values)
        with logged_to(folder), self._typed_ends(trial, folder):
            device_data = self.device_data(max_length(self.definition, values))
            training = build_training(self.definition, values, self.data, device_data, seed)
            try:
                outcome = training.run(self._hooks(trial, folder, training))
            finally:  # what a trial has cost is known however it ends
                trial.set_user_attr("epochs", len(training.history))
                trial.set_user_attr("seconds", round(sum(record.seconds for record in training.history), 3))
            self._keep(trial, folder, outcome)
        return outcome.metrics[self.metric]

    def _hooks(self, trial: Trial, folder: TrialFolder, training: Training) -> Hooks:
        def on_epoch(record: EpochRecord) -> None:
            self.observer.epoch_ended(trial.number, record)
            if not record.metrics:
                return
            write_text(folder.metrics, "".join(json.dumps(vars(past)) + "\n" for past in training.history))
            trial.report(record.metrics[self.metric], record.epoch)
            if record.epoch > self.warmup and trial.should_prune():
                raise optuna.TrialPruned(f"pruned at epoch {record.epoch}")

        evaluator = self.device_data(training.model.max_length).evaluator
        return Hooks(evaluator, on_epoch, self.should_stop, folder.checkpoint)

    @contextmanager
    def _typed_ends(self, trial: Trial, folder: TrialFolder) -> Iterator[None]:
        """Write down why a trial ended early; see `CONTINUED` and docs/studies.md for the reasons.

        Only a trial that will be continued keeps its checkpoint.
        """
        try:
            yield
        except optuna.TrialPruned:
            self._end(trial, folder, "pruned")
            raise
        except (InterruptedStudyError, KeyboardInterrupt) as error:
            self._end(trial, folder, "interrupted", str(error))
            requeue(trial)
            raise
        except NonFiniteError as error:
            self._end(trial, folder, "nan", str(error))
            raise
        except ConfigError as error:
            self._end(trial, folder, "invalid", str(error))
            raise optuna.TrialPruned(str(error)) from error
        except torch.OutOfMemoryError as error:
            self._end(trial, folder, "oom", str(error))
            raise optuna.TrialPruned("out of memory") from error
        except Exception as error:
            self._end(trial, folder, "error", f"{type(error).__name__}: {error}")
            log.exception("trial=%d failed", trial.number)
            raise

    def _end(self, trial: Trial, folder: TrialFolder, reason: str, message: str = "") -> None:
        if reason not in CONTINUED:
            folder.checkpoint.unlink(missing_ok=True)
        trial.set_user_attr("reason", reason)
        if message:
            trial.set_user_attr("message", message)
            log.warning("trial=%d reason=%s %s", trial.number, reason, message)

    def _keep(self, trial: Trial, folder: TrialFolder, outcome: Outcome) -> None:
        """Store what a finished training is remembered by; its checkpoint is no longer needed."""
        folder.weights.write_bytes(save(outcome.weights))  # save_file would hide it from everybody else
        np.save(folder.ranks, outcome.ranks_U.numpy().astype(np.int32))
        folder.checkpoint.unlink(missing_ok=True)
        trial.set_user_attr("best_epoch", outcome.best_epoch)
        for name, value in outcome.metrics.items():
            trial.set_user_attr(f"valid.{name}", value)


def max_length(definition: StudyDefinition, values: Mapping[str, Value]) -> int:
    """The window length of a configuration."""
    default = definition.configs["model"].model_fields["max_length"].default
    return int(values.get("model.max_length", default))


def requeue(trial: Trial) -> None:
    """Queue a row that goes on from the trial's checkpoint with the same parameters."""
    attrs = {name: value for name, value in trial.user_attrs.items() if name not in ("reason", "message", "seed")}
    trial.study.add_trial(
        optuna.create_trial(
            state=TrialState.WAITING,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs={**attrs, "root": root_number(trial.user_attrs, trial.number)},
        )
    )


@contextmanager
def logged_to(folder: TrialFolder) -> Iterator[None]:
    """Have everything the package logs in the trial's own file too."""
    handler = logging.FileHandler(folder.log, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger("blade_tune")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
