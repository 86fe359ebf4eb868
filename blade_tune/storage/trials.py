"""Which trials count, and how many."""

import itertools
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from optuna.trial import FrozenTrial, Trial, TrialState

from blade_tune.parameter import Value
from blade_tune.space import Space
from blade_tune.storage.trial_record import CONTINUED, Given, TrialRecord


def trial_values(space: Space, trial: FrozenTrial) -> dict[str, Value]:
    """The configuration of a stored trial by dotted name."""
    given = Given.of(trial)
    return dict(given.values) if given else space.values(trial.params)


def is_scored(trial: FrozenTrial) -> bool:
    """Whether a trial is charged to the budget: completed, or pruned with at least one report."""
    if trial.state == TrialState.COMPLETE:
        return True
    return trial.state == TrialState.PRUNED and bool(trial.intermediate_values)


def root_number(trial: Trial | FrozenTrial) -> int:
    """The number of the first row of a trial that may have been interrupted."""
    return TrialRecord(trial).get(TrialRecord.root, trial.number)


def ranked(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Completed trials, the best first; of equals the earlier one."""
    completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return sorted(completed, key=lambda trial: (-(trial.value or 0.0), trial.number))


def best_trial(trials: Iterable[FrozenTrial]) -> FrozenTrial | None:
    """The best completed trial, if there is one."""
    return next(iter(ranked(trials)), None)


def num_scored(trials: Iterable[FrozenTrial]) -> int:
    """How much of the budget is used."""
    return sum(map(is_scored, trials))


def latest_failures(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """The latest finished trials in a row that came to nothing (failed, invalid or out of memory), the newest first."""
    finished = [trial for trial in trials if trial.state.is_finished() and not is_continued(trial)]
    finished.sort(key=lambda trial: (trial.datetime_complete or datetime.min, trial.number), reverse=True)
    return list(itertools.takewhile(lambda trial: not is_scored(trial), finished))


def num_configurations(trials: Iterable[FrozenTrial]) -> int:
    """How many configurations are tried or being tried; a row without parameters is about to take a new one."""
    tried = [trial for trial in trials if trial.state != TrialState.WAITING and not is_continued(trial)]
    asked = [trial for trial in tried if trial.state == TrialState.RUNNING and not trial.params]
    return len({tuple(sorted(trial.params.items())) for trial in tried if trial.params}) + len(asked)


def count_states(trials: Iterable[FrozenTrial]) -> dict[str, int]:
    """Trials by state, in lower case; attempts that were continued stand apart."""
    counts = Counter("continued" if is_continued(trial) else trial.state.name.lower() for trial in trials)
    return {
        "complete": counts["complete"],
        "pruned": counts["pruned"],
        "failed": counts["fail"],
        "running": counts["running"],
        "waiting": counts["waiting"],
        "continued": counts["continued"],
    }


def is_continued(trial: FrozenTrial) -> bool:
    """Whether a row is an attempt that a later row goes on from."""
    return trial.state == TrialState.FAIL and TrialRecord(trial).get(TrialRecord.reason, "") in CONTINUED


def logical_trials(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """The latest row of every trial: of one that was interrupted and continued only the row that went on last."""
    return list({root_number(trial): trial for trial in trials}.values())
