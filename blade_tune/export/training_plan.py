"""Plan of a training for so many epochs as were best before: what a bundle remembers of how its models were trained."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from blade_tune.data.store import SearchData
from blade_tune.errors import ConfigError
from blade_tune.models.base import RecommenderModel
from blade_tune.parameter import Value
from blade_tune.space import nest
from blade_tune.spec.definition import StudyDefinition, is_fitted, max_length
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.study.stored import StoredStudy
from blade_tune.training.config import EvaluationConfig
from blade_tune.training.device_data import DeviceData
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.training.loop import Hooks, TrainingResult
from blade_tune.trial.objective import build_training


@dataclass(frozen=True)
class Ground:
    """What models are trained on again: the data, the protocol of evaluation, and the device."""

    data: SearchData
    objective: EvaluationConfig
    device: torch.device
    with_valid: bool = False  # whether validation rows are trained on too
    on_epoch: Callable[[EpochRecord], None] = lambda _: None

    def device_data(self, length: int) -> DeviceData:
        """Return the data on the device, in windows of a length."""
        make = DeviceData.with_valid_rows if self.with_valid else DeviceData.for_search
        return make(self.data, length, self.objective, self.device)


@dataclass(frozen=True)
class TrainingPlan:
    """How one model is trained again: for a fixed number of epochs, so that validation rows choose nothing."""

    model: str  # its name
    values: Mapping[str, Value]  # the configuration by dotted name
    epochs: int | None  # None for a model that is fitted at once
    seed: int
    threads: int | None  # of the CPU; None to choose them by the configuration

    def train(self, ground: Ground) -> tuple[RecommenderModel, TrainingResult]:
        """Train the model, and evaluate it once, after the last epoch.

        Returns:
            The model in evaluation mode, and the result of the training.

        Raises:
            ConfigError: the configuration does not go with the data, or this version does not know it.
            NonFiniteError: a loss or a score is NaN or infinite.
        """
        values = dict(self.values)
        if self.epochs is not None:
            values |= {"train.max_epochs": self.epochs, "train.eval_every": self.epochs}
        definition = StudyDefinition.from_mapping(
            ground.data.config.name,
            {
                "model": self.model,
                "space": nest(values),
                "data": ground.data.config.model_dump(mode="json"),
                "objective": ground.objective.model_dump(mode="json"),
            },
            "the bundle",
            is_whole=True,
        )
        device_data = ground.device_data(max_length(definition, values))
        training = build_training(
            definition, values, ground.data, device_data, self.seed, self.threads
        )
        result = training.run(Hooks(device_data.evaluator, ground.on_epoch))
        training.model.load_state_dict(result.weights)
        return training.model.eval(), result


def member_trainings(stored: StoredStudy) -> list[dict[str, Any] | None]:
    """Return for each member of a combination how it was trained, for JSON; None where its study is gone."""
    return [_of_member(stored, place) for place in range(len(stored.definition.settled_members))]


def _of_member(stored: StoredStudy, place: int) -> dict[str, Any] | None:
    member = stored.definition.settled_members[place]
    try:
        study = StoredStudy.of(stored.storage, member.study, stored.folder.results)
        trial = study.trials[member.trial]
    except (ConfigError, IndexError):
        return None
    record, files = TrialRecord(trial), study.files(trial)
    # A study of the same name may have been run anew since
    if files.digests.get(files.weights.name, member.digest) != member.digest:
        return None
    epochs = None if is_fitted(member.model) else record.best_epoch
    values = {f"model.{name}": value for name, value in member.settings.items()}
    trained = {k: v for k, v in study.values(trial).items() if k.startswith("train.")}
    threads = record.get(TrialRecord.threads)
    return asdict(TrainingPlan(member.model, values | trained, epochs, record.seed, threads))
