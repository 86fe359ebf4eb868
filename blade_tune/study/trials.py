"""Which trials count, and how many."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from blade_tune.parameter import Value
from blade_tune.space import Space

GIVEN = "given"  # user attribute of a trial whose configuration and seed were not sought but given
CONTINUED = ("interrupted", "lost", "superseded")  # attempts that a later row of the same logical trial went on from


@dataclass(frozen=True)
class Given:
    """What a row of a study of runs shall train: a whole configuration by dotted name, on a seed."""

    values: Mapping[str, Value]
    seed: int

    @classmethod
    def of(cls, user_attrs: Mapping[str, Any]) -> "Given | None":
        """What a row was given; None for a trial of a search."""
        return cls(**user_attrs[GIVEN]) if GIVEN in user_attrs else None


def trial_values(space: Space, trial: FrozenTrial) -> dict[str, Value]:
    """The configuration of a stored trial by dotted name."""
    given = Given.of(trial.user_attrs)
    return dict(given.values) if given else space.values(trial.params)


def is_scored(trial: FrozenTrial) -> bool:
    """Whether a trial is charged to the budget: completed, or pruned with at least one report."""
    if trial.state == TrialState.COMPLETE:
        return True
    return trial.state == TrialState.PRUNED and bool(trial.intermediate_values)


def root_number(user_attrs: Mapping[str, Any], number: int) -> int:
    """The number of the first row of a trial that may have been interrupted."""
    return int(user_attrs.get("root", number))


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
    return trial.state == TrialState.FAIL and trial.user_attrs.get("reason") in CONTINUED


def logical_trials(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """The latest row of every trial: of one that was interrupted and continued only the row that went on last."""
    return list({root_number(trial.user_attrs, trial.number): trial for trial in trials}.values())
