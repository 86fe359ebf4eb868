"""Runs: trainings of given configurations on given seeds, each made once.

They are the trials of a study of their own beside the search, `<study>.runs`, so that workers, leases, checkpoints and
exact counts are those of every study. Confirmation, ablations, sweeps and comparisons all take their runs from it: what
one of them trained, the others find there.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from blade_tune.errors import ConfigError, RunsMissingError
from blade_tune.fleet.devices import Place
from blade_tune.fleet.run import run_workers
from blade_tune.fleet.settings import RunSettings
from blade_tune.parameter import Value
from blade_tune.spec.definition import OF_RUNS, StudyDefinition
from blade_tune.spec.fingerprint import shared_seed
from blade_tune.storage.attempts import UNFINISHED
from blade_tune.storage.connect import creating
from blade_tune.storage.trial_record import Given, attributes
from blade_tune.storage.trials import logical_trials, num_scored
from blade_tune.study.create import open_study
from blade_tune.study.stored import BASELINES, StoredStudy
from blade_tune.study.workspace import Workspace
from blade_tune.trial.callback import Callback

SHORTEST_S = 0.1  # a limit of time that is over
KEEP_ALL = 1_000_000  # every run keeps its weights, which `--test` ranks with

Key = tuple[str, int]


@dataclass(frozen=True)
class Run:
    """One training that is wanted."""

    values: Mapping[str, Value]  # by dotted name; what is left out has its default
    seed: int
    label: str  # shown beside the trial


@dataclass(frozen=True)
class RunExecutor:
    """Who trains runs, and who hears of it."""

    settings: RunSettings
    places: list[Place]
    callback: Callback
    started: float = field(default_factory=time.monotonic)

    def work(self, study: StoredStudy, **changes: Any) -> None:
        """Work on a study until it needs no more trials; all that a executor does shares one limit of time."""
        limit = self.settings.time
        left = None if limit is None else max(SHORTEST_S, limit - (time.monotonic() - self.started))
        run_workers(study, self.settings.model_copy(update={**changes, "time": left}), self.places, self.callback)


def seeds(definition: StudyDefinition, count: int) -> tuple[int, ...]:
    """The fresh seeds that all compared configurations share; no trial of the search was trained on one."""
    return tuple(shared_seed(definition.search.seed, index) for index in range(count))


def find_runs(stored: StoredStudy) -> StoredStudy | None:
    """The runs beside a search, or None where none was ever wanted."""
    try:
        return StoredStudy.of(stored.storage, f"{stored.definition.name}{OF_RUNS}", stored.folder.results)
    except ConfigError:
        return None


def execute(stored: StoredStudy, wanted: Sequence[Run], executor: RunExecutor) -> StoredStudy:
    """Train what of the wanted runs was not trained before; what failed before is tried again.

    Returns:
        The study of runs beside the search.

    Raises:
        InterruptedStudyError: the user stopped it; the same call goes on from there.
        StudyDiffersError: the data is not what the study was run on.
    """
    data = stored.data(executor.settings.data)
    workspace = Workspace(stored.storage.engine.url, stored.folder.results)
    directory = stored.data_directory(executor.settings.data)
    runs = open_study(stored.definition.of_runs(), data, workspace, directory=directory)
    if (baselines := stored.study.user_attrs.get(BASELINES)) is not None:
        runs.study.set_user_attr(BASELINES, baselines)
    with creating(workspace.url):
        _plan(runs, wanted)
    executor.work(runs, keep=KEEP_ALL, gpu_hours=None)
    return runs


def rows(runs: StoredStudy, wanted: Sequence[Run]) -> list[FrozenTrial | None]:
    """The trial of each wanted run in whatever state it is, in their order; None where nobody wanted it before."""
    latest = {_key(runs.definition, *given): trial for trial, given in _given(logical_trials(runs.trials))}
    return [latest.get(_key(runs.definition, run.values, run.seed)) for run in wanted]


def require(runs: StoredStudy, wanted: Sequence[Run]) -> list[FrozenTrial]:
    """The trial of each wanted run, in their order, where all must be complete.

    Raises:
        RunsMissingError: the message counts them and says what to do.
    """
    trials = [trial if trial and is_complete(trial) else None for trial in rows(runs, wanted)]
    missing = [run.label for run, trial in zip(wanted, trials, strict=True) if trial is None]
    if missing:
        name = runs.definition.name
        raise RunsMissingError(
            f"study {name}: {len(missing)} of {len(wanted)} runs are not complete "
            f"({', '.join(dict.fromkeys(missing))}); `blade-tune trials --study {name}` says why. "
            "The same command again trains them."
        )
    return [trial for trial in trials if trial]


def _plan(runs: StoredStudy, wanted: Sequence[Run]) -> None:
    """Add a row for each wanted run that has none, or whose row came to nothing; settle how many there are in all."""
    live = [t for t in logical_trials(runs.trials) if is_complete(t) or t.state in UNFINISHED]
    known = {_key(runs.definition, *given) for _, given in _given(live)}
    for run in wanted:
        key = _key(runs.definition, run.values, run.seed)
        if key not in known:
            known.add(key)
            attrs = attributes(given={"values": dict(run.values), "seed": run.seed}, tag=run.label)
            runs.study.add_trial(optuna.create_trial(state=TrialState.WAITING, user_attrs=attrs))
    trials = runs.trials
    runs.study.set_user_attr("budget", num_scored(trials) + sum(trial.state in UNFINISHED for trial in trials))


def is_complete(trial: FrozenTrial) -> bool:
    """Whether a training came to its end."""
    return trial.state == TrialState.COMPLETE


def _given(trials: Iterable[FrozenTrial]) -> Iterator[tuple[FrozenTrial, tuple[Mapping[str, Value], int]]]:
    """Each trial with the values and the seed that it was given."""
    for trial in trials:
        if given := Given.of(trial):
            yield trial, (given.values, given.seed)


def _key(definition: StudyDefinition, values: Mapping[str, Value], seed: int) -> Key:
    """Equal for two runs if and only if they train the same: defaults that one of them leaves out are filled in."""
    whole = definition.complete(values, f"study {definition.name}")
    return json.dumps(whole, sort_keys=True), seed
