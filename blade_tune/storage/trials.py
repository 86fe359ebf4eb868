"""Questions on the rows of trials: which are scored, ranked, continued or failed, and how many there are.

A row is one attempt at a trial in Optuna's table. A trial that was interrupted has several rows, all but the latest of
which ended with a reason in `CONTINUED`, and are failed ones to Optuna. A row at whose end its trial paused is a pruned
one to Optuna; if the trial is promoted, the row that goes on with it has the attribute `promoted`. Scored trials are
those that use up the budget, each of them once.
"""

import itertools
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from datetime import datetime

from optuna.trial import FrozenTrial, Trial, TrialState

from blade_tune.errors import ConfigError
from blade_tune.parameter import Value
from blade_tune.space import Space
from blade_tune.storage.trial_record import CONTINUED, EndReason, Given, TrialRecord


def trial_values(space: Space, trial: FrozenTrial) -> dict[str, Value]:
    """Return the configuration of a stored trial by dotted name: what was given with it, or else what was proposed."""
    given = Given.of(trial)
    return space.values(trial.params) if given is None else given_values(space, given)


def own_values(space: Space, trial: Trial | FrozenTrial) -> dict[str, Value]:
    """Return what tells a trial from others: values that its study's space does not fix, or a run's tag and seed."""
    record = TrialRecord(trial)
    given = Given.of(trial)
    if given is not None:
        return {
            TrialRecord.tag.name: record.get(TrialRecord.tag, ""),
            TrialRecord.seed.name: given.seed,
        }
    values = space.values(trial.params)
    return {name: value for name, value in values.items() if name not in space.fixed}


def given_values(space: Space, given: Given) -> dict[str, Value]:
    """Return a given configuration by dotted name; a setting that it leaves out has its default.

    Settings of the model that the space of a study of runs fixes are defaults that were others when it was stored.
    """
    then = {name: value for name, value in space.fixed.items() if name.startswith("model.")}
    return {**then, **given.values}


def trial_of(trials: Sequence[FrozenTrial], number: int, study: str) -> FrozenTrial:
    """Return the row of a number.

    Args:
        trials: all rows of a study, in order of number.
        number: the number of a trial as a user named it.
        study: the name of the study, for the error.

    Raises:
        ConfigError: there is no such trial; the message has the numbers that there are.
    """
    if 0 <= number < len(trials):
        return trials[number]
    has = f"trials 0 to {len(trials) - 1}" if trials else "no trials yet"
    raise ConfigError(f"study {study} has {has}, got {number}.")


def is_scored(trial: FrozenTrial) -> bool:
    """Whether a row has a score: it completed, or was pruned or paused with at least one report."""
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
    """Return how many trials are charged to the budget: each that has a score, and one that was promoted once.

    `Attempts` counts by the same rule in SQL.
    """
    return len(scored_trials(trials))


def scored_trials(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Return of every trial that has a score the latest row that has one.

    A promoted trial is judged by its paused row until the row that goes on with it has ended with a score.

    Args:
        trials: rows in order of number.
    """
    return logical_trials(trial for trial in trials if is_scored(trial))


def is_paused(trial: FrozenTrial) -> bool:
    """Whether a row ended because its trial paused, whether the trial was promoted since then or not."""
    reason = TrialRecord(trial).get(TrialRecord.reason, "")
    return trial.state == TrialState.PRUNED and reason == EndReason.PAUSED


def is_promoted(trial: Trial | FrozenTrial) -> bool:
    """Whether a row goes on with a trial that was paused, and is therefore not charged to the budget once more."""
    return TrialRecord.promoted in TrialRecord(trial)


def resumed_rows(trials: Iterable[FrozenTrial]) -> set[int]:
    """Return the numbers of the paused rows whose trials were promoted."""
    return {TrialRecord(trial).promoted for trial in trials if is_promoted(trial)}


def state_words(trial: FrozenTrial, resumed: Container[int] = ()) -> str:
    """Return the state of a row in a word: Optuna's, or else `paused`, or `continued` where a later row goes on.

    Args:
        trial: the row.
        resumed: the numbers of the paused rows whose trials were promoted, from `resumed_rows`.
    """
    if is_continued(trial) or trial.number in resumed:
        return "continued"
    return "paused" if is_paused(trial) else trial.state.name.lower()


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

    Rows that a later row continues are failed or pruned ones to Optuna, but are counted as `continued` here.
    """
    rows = list(trials)
    resumed = resumed_rows(rows)
    counts = Counter(state_words(trial, resumed) for trial in rows)
    return {
        "complete": counts["complete"],
        "pruned": counts["pruned"],
        "paused": counts["paused"],
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
