"""A study so small that its trials take milliseconds, and ways to run it."""

import copy
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from blade_tune.data.store import SearchData, prepare
from blade_tune.errors import WorkerSpentError
from blade_tune.fleet.worker import Worker
from blade_tune.fleet.worker_config import WorkerConfig
from blade_tune.parameter import Value
from blade_tune.spec.definition import StudyDefinition
from blade_tune.study.create import open_study
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.trial.callback import Callback
from blade_tune.trial.signals import StopSignals

DATA: dict[str, Any] = {
    "source": "synthetic",
    "name": "tiny",
    "behaviors": ["click", "like", "share", "follow"],
    "auxiliary": "click",
    "num_users": 30,
    "num_items": 40,
    "num_clusters": 5,
    "min_length": 6,
    "max_length": 9,
}
STUDY: dict[str, Any] = {
    "model": "blade",
    "recipe": "published",
    "space": {
        "model": {
            "embedding_size": 8,
            "max_length": 6,
            "num_blocks": 1,
            "num_experts": 1,
            "num_heads": {"choice": [1, 2]},
            "alpha": {"float": [0.0, 1.0], "step": 0.25},
            "lambda_": {"float": [0.01, 1.0], "log": True},
        },
        "train": {"batch_size": 16},
    },
    "data": DATA,
    "train": {"max_epochs": 2, "eval_every": 1, "patience": 9},
    "search": {"trials": 3, "pruner": {"kind": "none"}},
}


def content(**changes: Any) -> dict[str, Any]:
    """The study file with some values changed; a double underscore leads into a mapping: search__trials=5."""
    changed = copy.deepcopy(STUDY)
    for path, value in changes.items():
        *parents, key = path.split("__")
        place = changed
        for parent in parents:
            place = place.setdefault(parent, {})
        place[key] = value
    return changed


def define(**changes: Any) -> StudyDefinition:
    """The tiny study with some values changed."""
    return StudyDefinition.from_mapping("tiny", content(**changes), "tiny.yaml")


def tiny_data(root: Path, **changes: Any) -> SearchData:
    """The data of the tiny study."""
    return prepare(
        define(**{f"data__{name}": value for name, value in changes.items()}).data, None, root
    )


class Watch(Callback):
    """Remembers what a run told; a test's own callback builds on it."""

    def __init__(self) -> None:
        self.started: dict[int, Mapping[str, Value]] = {}
        self.records: list[tuple[int, EpochRecord]] = []
        self.ended: list[tuple[int, str]] = []

    def trial_started(self, number: int, values: Mapping[str, Value]) -> None:
        self.started[number] = dict(values)

    def epoch_ended(self, number: int, record: EpochRecord) -> None:
        self.records.append((number, record))

    def trial_ended(self, number: int, outcome: str, *_: Any) -> None:
        self.ended.append((number, outcome))


def run(
    results: Path,
    callback: Callback | None = None,
    *,
    options: Mapping[str, Any] = {},
    **changes: Any,
) -> str:
    """Run the tiny study, with some values of its file changed, in a results folder; gives why it ended."""
    definition = define(**changes)
    place = Workspace.at(None, results)
    return work(
        open_study(definition, prepare(definition.data, None, results), place), callback, **options
    )


def work(stored: StoredStudy, callback: Callback | None = None, **options: Any) -> str:
    """Be the one worker of an open study, in this process."""
    config = order_for(stored, **options)
    with StopSignals().listening() as signals:
        while True:
            try:
                return Worker(stored, config, callback or Callback(), signals).run()
            except WorkerSpentError:
                continue  # as a supervisor does, with another process


def order_for(stored: StoredStudy, **options: Any) -> WorkerConfig:
    """What a worker of the study is told, some of it changed."""
    return WorkerConfig(
        **{
            "study": stored.definition.name,
            "storage": stored.storage.engine.url.render_as_string(hide_password=False),
            "results": stored.folder.results,
            "data": None,
            "device": "cpu",
            "share": 1.0,
            "keep": 5,
            "max_consecutive_failures": 5,
            "heartbeat_s": 30.0,
            "grace_s": 120.0,
            "since": datetime.now(UTC),
            **options,
        }
    )


def stored(results: Path) -> StoredStudy:
    """The tiny study as it is stored."""
    return Workspace.at(None, results).study("tiny")


def rows(results: Path) -> list[tuple[str, str]]:
    """State and reason of every stored row."""
    return [
        (trial.state.name, trial.user_attrs.get("reason", "")) for trial in stored(results).trials
    ]
