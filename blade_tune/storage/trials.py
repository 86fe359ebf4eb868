"""Questions on the rows of trials: which are scored, ranked, continued or failed, and how many there are.

A row is one attempt at a trial in Optuna's table. A trial that was interrupted has several rows, all but the latest of
which ended with a reason in `CONTINUED`. Scored trials are those that use up the budget.
"""

import itertools
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from optuna.trial import FrozenTrial, Trial, TrialState

from blade_tune.parameter import Value
from blade_tune.space import Space
from blade_tune.storage.trial_record import CONTINUED, Given, TrialRecord


def trial_values(space: Space, trial: FrozenTrial) -> dict[str, Value]:
    """Return the configuration of a stored trial by dotted name: what was given with it, or else what was proposed."""
    given = Given.of(trial)
    return space.values(trial.params) if given is None else given_values(space, given)


def given_values(space: Space, given: Given) -> dict[str, Value]:
    """Return a given configuration by dotted name; a setting that it leaves out has its default.

    Settings of the model that the space of a study of runs fixes are defaults that were others when it was stored.
    """
    then = {name: value for name, value in space.fixed.items() if name.startswith("model.")}
    return {**then, **given.values}


def is_scored(trial: FrozenTrial) -> bool:
    """Whether a trial is charged to the budget: it completed, or was pruned with at least one report.

    `Attempts` counts by the same rule in SQL.
    """
    if trial.state == TrialState.COMPLETE:
        return True
    return trial.state == TrialState.PRUNED and bool(trial.intermediate_values)


def root_number(trial: Trial | FrozenTrial) -> int:
    """Return the number of the first row of a trial, after which its folder is named."""
    return TrialRecord(trial).get(TrialRecord.root, trial.number)


def ranked(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Return the completed trials, the best first; of equal ones the earlier first."""
    completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return sorted(completed, key=_value_and_number)


def _value_and_number(trial: FrozenTrial) -> tuple[float, int]:
    value = trial.value or 0.0
    return -value, trial.number


def best_trial(trials: Iterable[FrozenTrial]) -> FrozenTrial | None:
    """Return the best completed trial; None where none has completed."""
    completed = ranked(trials)
    return completed[0] if completed else None


def num_scored(trials: Iterable[FrozenTrial]) -> int:
    """Return how many trials are charged to the budget."""
    return sum(map(is_scored, trials))


def latest_failures(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Return the unbroken run of unscored trials at the end of the finished ones, the newest first.

    Such trials failed, were invalid, or ran out of memory. Rows that another row continues do not break the run, nor do
    they count. A run that grows long is a sign that something is wrong with the study and not with its configurations.
    """
    finished = [trial for trial in trials if trial.state.is_finished() and not is_continued(trial)]
    finished.sort(key=_end_and_number, reverse=True)
    return list(itertools.takewhile(lambda trial: not is_scored(trial), finished))


def _end_and_number(trial: FrozenTrial) -> tuple[datetime, int]:
    return trial.datetime_complete or datetime.min, trial.number


def num_configurations(trials: Iterable[FrozenTrial]) -> int:
    """Return how many different configurations were tried or are being tried.

    A running row without parameters counts as a new configuration, which its sampler is about to propose.
    """
    configurations = set()
    num_proposed = 0
    for trial in trials:
        if trial.state == TrialState.WAITING or is_continued(trial):
            continue
        if trial.params:
            configurations.add(tuple(sorted(trial.params.items())))
        elif trial.state == TrialState.RUNNING:
            num_proposed += 1
    return len(configurations) + num_proposed


def count_states(trials: Iterable[FrozenTrial]) -> dict[str, int]:
    """Return the number of rows of each state, by name in lower case.

    Rows that a later row continues are failed ones to Optuna, but are counted as `continued` here.
    """
    counts: Counter[str] = Counter()
    for trial in trials:
        state = "continued" if is_continued(trial) else trial.state.name.lower()
        counts[state] += 1
    return {
        "complete": counts["complete"],
        "pruned": counts["pruned"],
        "failed": counts["fail"],
        "running": counts["running"],
        "waiting": counts["waiting"],
        "continued": counts["continued"],
    }


def is_continued(trial: FrozenTrial) -> bool:
    """Whether a row ended in a way after which a later row continues its trial."""
    reason = TrialRecord(trial).get(TrialRecord.reason, "")
    return trial.state == TrialState.FAIL and reason in CONTINUED


def logical_trials(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Return the latest row of every trial, so that a trial that was interrupted and continued stands once.

    Args:
        trials: rows in order of number.
    """
    # A later row with the same root replaces the earlier one in the dictionary.
    return list({root_number(trial): trial for trial in trials}.values())
