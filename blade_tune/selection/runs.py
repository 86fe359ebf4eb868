"""Runs: trainings of given configurations on given seeds, after a search and outside of it.

The runs of a search are the trials of a second study, `<study>.runs`, so that workers, leases, checkpoints and exact
counts work for them as for every study. Confirmation, ablations, sweeps and comparisons all take their runs from this
study. A run that one of them has trained is not trained again for another.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from blade_tune.errors import ConfigError, RunsMissingError
from blade_tune.fleet.devices import Placement
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

# The time limit in seconds where the time is over already, since a limit must be positive.
SHORTEST_S = 0.1
# The number of trials that keep their weights: in effect all runs, since `--test` ranks with them.
KEEP_ALL = 1_000_000

Key = tuple[str, int]  # configuration as JSON, seed


@dataclass(frozen=True)
class Run:
    """One training to be made: a configuration and a seed."""

    values: Mapping[str, Value]  # by dotted parameter name; what is left out has its default
    seed: int
    label: str  # shown with the trial


@dataclass(frozen=True)
class RunExecutor:
    """The settings, placements and callback to train runs with, for all runs of one command."""

    settings: RunSettings
    placements: list[Placement]
    callback: Callback
    # The start of the time limit, by the monotonic clock.
    started: float = field(default_factory=time.monotonic)

    def work(self, study: StoredStudy, **changes: Any) -> None:
        """Work on a study until it needs no more trials, or until the time limit, which all calls share, is over.

        Args:
            study: a search or a study of runs.
            **changes: run settings to use in place of the executor's.
        """
        left = self.settings.time
        if left is not None:
            passed = time.monotonic() - self.started
            left = max(SHORTEST_S, left - passed)
        settings = self.settings.model_copy(update={**changes, "time": left})
        run_workers(study, settings, self.placements, self.callback)


def seeds(definition: StudyDefinition, count: int) -> tuple[int, ...]:
    """Return the first `count` fresh seeds of a search, on which no trial of the search is trained.

    They depend on the search's own seed only, so all configurations that are compared share them.
    """
    return tuple(shared_seed(definition.search.seed, index) for index in range(count))


def find_runs(stored: StoredStudy) -> StoredStudy | None:
    """Return the study of a search's runs, or None if it has none yet."""
    name = f"{stored.definition.name}{OF_RUNS}"
    try:
        return StoredStudy.of(stored.storage, name, stored.folder.results)
    except ConfigError:
        return None


def execute(stored: StoredStudy, wanted: Sequence[Run], executor: RunExecutor) -> StoredStudy:
    """Train those of the wanted runs that are not complete; runs that failed before are tried again.

    Args:
        stored: the search.
        wanted: the runs.
        executor: trains the runs.

    Returns:
        The study of the search's runs. Not all wanted runs are complete in it if some failed or a limit ended the call.

    Raises:
        InterruptedStudyError: the user stopped it; the same call continues from there.
        StudyDiffersError: the data is not that of the search.
    """
    data = stored.data(executor.settings.data)
    workspace = Workspace(stored.storage.engine.url, stored.folder.results)
    directory = stored.data_directory(executor.settings.data)
    runs = open_study(stored.definition.of_runs(), data, workspace, directory=directory)
    # The runs rank the same rows, so their baselines are those of the search.
    baselines = stored.study.user_attrs.get(BASELINES)
    if baselines is not None:
        runs.study.set_user_attr(BASELINES, baselines)
    with creating(workspace.url):
        _plan(runs, wanted)
    executor.work(runs, keep=KEEP_ALL, gpu_hours=None)
    return runs


def rows(runs: StoredStudy, wanted: Sequence[Run]) -> list[FrozenTrial | None]:
    """Return the latest trial of each wanted run, in any state, in the order of the runs; None where there is none."""
    latest = {}
    for key, trial in _given(runs, logical_trials(runs.trials)):
        latest[key] = trial
    keys = [_key(runs.definition, run.values, run.seed) for run in wanted]
    return [latest.get(key) for key in keys]


def require(runs: StoredStudy, wanted: Sequence[Run]) -> list[FrozenTrial]:
    """Return the trial of each wanted run, in the order of the runs, all of which must be complete.

    Raises:
        RunsMissingError: some are not complete; the message counts them and says what to do.
    """
    complete = [trial for trial in rows(runs, wanted) if trial and is_complete(trial)]
    if len(complete) < len(wanted):
        raise missing(runs, wanted)
    return complete


def missing(runs: StoredStudy, wanted: Sequence[Run]) -> RunsMissingError:
    """Return the error that counts and names the wanted runs that are not complete, and says what to do."""
    trials = zip(wanted, rows(runs, wanted), strict=True)
    labels = [run.label for run, trial in trials if trial is None or not is_complete(trial)]
    name = runs.definition.name
    return RunsMissingError(
        f"study {name}: {len(labels)} of {len(wanted)} runs are not complete "
        f"({', '.join(dict.fromkeys(labels))}); `blade-tune trials --study {name}` says why. "
        "The same command again trains them."
    )


def _plan(runs: StoredStudy, wanted: Sequence[Run]) -> None:
    """Queue a trial for each wanted run that has none or whose trial failed, and set the study's budget to match."""
    live = [
        trial
        for trial in logical_trials(runs.trials)
        if is_complete(trial) or trial.state in UNFINISHED
    ]
    known = {key for key, _ in _given(runs, live)}
    for run in wanted:
        key = _key(runs.definition, run.values, run.seed)
        if key not in known:
            known.add(key)
            given = {"values": dict(run.values), "seed": run.seed}
            attrs = attributes(given=given, tag=run.label)
            runs.study.add_trial(optuna.create_trial(state=TrialState.WAITING, user_attrs=attrs))
    trials = runs.trials
    num_unfinished = sum(trial.state in UNFINISHED for trial in trials)
    runs.study.set_user_attr("budget", num_scored(trials) + num_unfinished)


def is_complete(trial: FrozenTrial) -> bool:
    """Return whether a trial has completed, neither failed nor pruned."""
    return trial.state == TrialState.COMPLETE


def _given(runs: StoredStudy, trials: Iterable[FrozenTrial]) -> Iterator[tuple[Key, FrozenTrial]]:
    """Yield each trial that was given values and a seed, with the key of the run that it is."""
    for trial in trials:
        if given := Given.of(trial):
            yield _key(runs.definition, runs.values(trial), given.seed), trial


def _key(definition: StudyDefinition, values: Mapping[str, Value], seed: int) -> Key:
    """Return a key that is equal for two runs if and only if they train the same model.

    Defaults that a run leaves out are filled in for that.
    """
    whole = definition.complete(values, f"study {definition.name}")
    return json.dumps(whole, sort_keys=True), seed
