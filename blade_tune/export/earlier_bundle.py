"""A bundle as the ground of the next one: its model, and what it remembers of data, training and bundles before it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blade_tune.config import flatten, parse, read_yaml
from blade_tune.errors import ConfigError, DataError
from blade_tune.export.reading import Loaded, load_bundle
from blade_tune.export.training_plan import TrainingPlan
from blade_tune.layers.embedding import UserTable
from blade_tune.models import config_class
from blade_tune.models.build import MemberModel
from blade_tune.models.settings.earlier import EARLIER, defaults_then
from blade_tune.parameter import Value
from blade_tune.spec.definition import COMBINATION, is_fitted
from blade_tune.spec.old_words import modern_names
from blade_tune.training.config import EvaluationConfig

# Without these facts a model cannot be trained again
NEEDED = ("data", "data_hash", "epochs", "fingerprint", "training_seed")


@dataclass(frozen=True)
class EarlierBundle:
    """A bundle that was read, with its model ready to rank for users that it never met."""

    folder: Path
    loaded: Loaded
    model_name: str
    values: Mapping[str, Value]  # the configuration by dotted name, as best.yaml has it
    members: Sequence[MemberModel]  # of a combination; else empty
    provenance: Mapping[str, Any]
    metrics: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "EarlierBundle":
        """Read a bundle and check all of it.

        Raises:
            DataError: a file was changed or is missing, or the bundle does not say how its model was trained.
        """
        loaded = load_bundle(folder)
        for table in loaded.model.modules():
            if isinstance(table, UserTable):
                table.settle_unknown()
        catalog, provenance, metrics = (
            json.loads((folder / name).read_text(encoding="utf-8"))
            for name in ("catalog.json", "provenance.json", "metrics.json")
        )
        missing = [name for name in NEEDED if name not in provenance]
        if missing:
            raise DataError(
                f"{folder / 'provenance.json'}: must say how the model was trained, and lacks {missing[0]}; export the "
                "bundle again with this version."
            )
        values = flatten(read_yaml(folder / "best.yaml"))
        members = [(entry["model"], entry["settings"]) for entry in catalog.get("members", ())]
        return cls(folder, loaded, catalog["model"], values, members, provenance, metrics)

    @property
    def name(self) -> str:
        """The name of its data set."""
        return str(self.provenance["data"]["name"])

    @property
    def objective(self) -> EvaluationConfig:
        """The protocol under which its model was chosen."""
        stored = self.provenance["fingerprint"].get("objective", {})
        return parse(EvaluationConfig, stored, str(self.folder / "provenance.json"))

    @property
    def with_valid(self) -> bool:
        """Whether its model was trained on validation rows too."""
        return bool(self.provenance.get("with_valid"))

    @property
    def history(self) -> list[dict[str, Any]]:
        """The bundles before this one, oldest first; a bundle of export-best has none."""
        return list(self.provenance.get("history", ()))

    @property
    def entry(self) -> dict[str, Any]:
        """What later bundles remember of this one in their history."""
        metric = self.metrics.get("metric", self.objective.metric)
        figures = {}
        for part in ("valid", "test"):
            figures[part] = (self.metrics.get(part) or {}).get(metric)
        against = self.metrics.get("comparison")
        return {
            "digest": self.loaded.digest,
            "created": self.provenance.get("created"),
            "data_hash": self.provenance["data_hash"],
            "rows": self.provenance["data"].get("rows"),
            "metric": metric,
            **figures,
            # Against the bundle before it
            "difference": against["difference"] if against else None,
        }

    @property
    def plan(self) -> TrainingPlan:
        """How its model is trained; of a combination, what holds for the sum of its members."""
        stored = modern_names(self.provenance["fingerprint"].get("space", {}))
        values: dict[str, Value] = {}
        for name, value in defaults_then(self.model_name, stored).items():
            values[f"model.{name}"] = value
        if not is_fitted(self.model_name):
            # Free parameters of the search are mappings, and best.yaml has their values
            for name, value in stored.items():
                if name.startswith("train.") and not isinstance(value, Mapping):
                    values[name] = value
        facts = self.provenance
        return TrainingPlan(
            self.model_name,
            {**values, **self.values},
            facts["epochs"],
            facts["training_seed"],
            facts.get("threads"),
        )

    @property
    def member_plans(self) -> list[TrainingPlan]:
        """How each member of a combination is trained.

        Raises:
            ConfigError: the bundle does not say that of a member; the message names it and the way out.
        """
        trainings = self.provenance.get("member_trainings") or [None] * len(self.members)
        names = self.provenance.get("members") or [name for name, _ in self.members]
        plans = []
        for (model, settings), training, name in zip(self.members, trainings, names, strict=True):
            if training is not None:
                plans.append(TrainingPlan(**training))
            elif is_fitted(model) and not config_class(model).is_seeded:
                own = {**EARLIER.get(model, {}), **settings}
                values = {f"model.{key}": value for key, value in own.items()}
                plans.append(TrainingPlan(model, values, None, 0, None))
            else:
                study = str(name).partition(":")[0]
                raise ConfigError(
                    f"{self.folder}: must say how its member {name} was trained, and does not, for the member's study "
                    f"was gone or an earlier version wrote the bundle; run {study} and the combination on the newer "
                    "data, and export that."
                )
        return plans

    @property
    def is_combination(self) -> bool:
        """Whether its model is a sum of others."""
        return self.model_name == COMBINATION
