"""Studies as rows of plain data, which commands, files, the report and the dashboard show."""

import math
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from optuna.trial import FrozenTrial

from blade_tune.report import Row
from blade_tune.search.replicates import pooled_noise
from blade_tune.selection.scores import valid_figures
from blade_tune.space import GROUPS
from blade_tune.storage.attempts import Attempt
from blade_tune.storage.folder import write_text
from blade_tune.storage.spending import UNLIMITED, cpu_hours
from blade_tune.storage.trial_record import TrialRecord, columns
from blade_tune.storage.trials import (
    best_trial,
    count_states,
    is_continued,
    is_scored,
    logical_trials,
    num_scored,
    resumed_rows,
    root_number,
    state_words,
)
from blade_tune.study.progress import pace_of, why_done
from blade_tune.study.stored import StoredStudy
from blade_tune.study.time_to_baseline import first_passing
from blade_tune.trial.curves import as_csv, curve_rows


def status(stored: StoredStudy) -> Row:
    """Return the state of a study: its progress, best trial, baselines, noise, failures, cost, and active workers.

    Costs are in hours of CPUs and of GPUs; values that are unknown are None.
    """
    # Attempts are read before trials, so that the trial of each attempt is among the trials.
    attempts = stored.attempts.open_attempts()
    now = stored.attempts.now()
    trials = stored.trials
    best = best_trial(trials)
    noise = pooled_noise(stored.definition.space, trials)
    verdict = stored.verdict(trials)
    return {
        "name": stored.definition.name,
        "model": stored.definition.model,
        "metric": stored.definition.objective.metric,
        "budget": stored.budget if stored.budget < UNLIMITED else None,
        "scored": num_scored(trials),
        "limit": _limit_row(stored, trials),
        "trials": count_states(trials),
        "best": _best_row(stored, best) if best else None,
        "baselines": (stored.baseline_figures | stored.baselines_left_out) or None,
        "verdict": verdict.facts if verdict else None,
        "warning": stored.warning(trials) or None,
        "time_to_baseline": first_passing(stored, trials).facts,
        "noise": vars(noise) if noise else None,
        "failures": count_failures(trials),
        "cpu_hours": _cpu_hours(trials),
        "gpu_hours": round(stored.attempts.gpu_seconds() / 3600, 3),
        "pace": _pace_row(stored, trials),
        "workers": [_worker_row(attempt, trials, now) for attempt in attempts],
    }


def _limit_row(stored: StoredStudy, trials: Sequence[FrozenTrial]) -> Row | None:
    limit = stored.limit
    if limit is None:
        return None
    return {**vars(limit), "spent": limit.spent(trials), "words": limit.spent_words(trials)}


def _cpu_hours(trials: Sequence[FrozenTrial]) -> float | None:
    """Return the processor hours of training; None where an earlier version did not count them."""
    hours = cpu_hours(trials)
    return None if math.isnan(hours) else round(hours, 3)


def _pace_row(stored: StoredStudy, trials: Sequence[FrozenTrial]) -> Row | None:
    found = pace_of(stored, trials)
    return vars(found) if found and not why_done(stored) else None


def scored_words(facts: Mapping[str, Any], between: str = " of ") -> str:
    """Return how many trials of a study are scored, of how many where their number is limited: "12 of 60"."""
    budget = facts["budget"]
    return f"{facts['scored']}" if budget is None else f"{facts['scored']}{between}{budget}"


def _best_row(stored: StoredStudy, trial: FrozenTrial) -> Row:
    return {"number": trial.number, "value": trial.value, "params": _params(stored, trial)}


def count_failures(trials: Iterable[FrozenTrial]) -> dict[str, int]:
    """Return the number of trials that ended without a score, by reason: failed, invalid or out of memory."""
    counts: Counter[str] = Counter()
    for trial in trials:
        has_ended = trial.state.is_finished() and not is_continued(trial)
        if has_ended and not is_scored(trial):
            counts[TrialRecord(trial).get(TrialRecord.reason, "unknown")] += 1
    return dict(counts)


def _worker_row(attempt: Attempt, trials: Sequence[FrozenTrial], now: float) -> Row:
    """Return who works where, as user@host, process and device, on which trial, and how long ago it was heard."""
    number = attempt.trial_number
    reports: Mapping[int, float] = {}  # epoch -> value
    if number is not None:
        reports = trials[number].intermediate_values
    return {
        "trial": number,
        "epochs": max(reports, default=0),
        "best": max(reports.values(), default=None),
        "who": attempt.owner.who,
        "pid": attempt.owner.pid,
        "device": attempt.device,
        "since": _time(datetime.fromtimestamp(attempt.claimed, UTC)),
        "heard_s": round(max(0.0, now - attempt.renewed), 1),
    }


def trial_rows(stored: StoredStudy) -> list[Row]:
    """Return a row for each trial, in order of number.

    All rows have the same columns, in which free parameters stand under their dotted names and are None if absent.
    """
    absent = dict.fromkeys(stored.definition.space.free)
    trials = stored.trials
    resumed = resumed_rows(trials)
    rows = []
    for trial in trials:
        params = {**absent, **_params(stored, trial)}
        rows.append(_trial_row(stored, trial, params, resumed))
    return rows


def _params(stored: StoredStudy, trial: FrozenTrial) -> Row:
    """Return the free parameters that the trial was trained on, without the rounding errors of Optuna's values."""
    values = stored.values(trial)
    return {name: values[name] for name in stored.definition.space.free if name in trial.params}


def _trial_row(
    stored: StoredStudy, trial: FrozenTrial, params: Row, resumed: Container[int]
) -> Row:
    record = TrialRecord(trial)
    figures = {f"valid.{name}": value for name, value in valid_figures(stored, trial).items()}
    return {
        "number": trial.number,
        "state": state_words(trial, resumed),
        "reason": record.get(TrialRecord.reason),
        "root": root_number(trial),
        "value": trial.value,
        **params,
        **{name: record.stored.get(name) for name in columns()},
        **figures,
        "started": _time(trial.datetime_start),
        "ended": _time(trial.datetime_complete),
    }


def brief(rows: Sequence[Row]) -> list[Row]:
    """Return the columns of trial rows that fit a screen.

    Parameters are named without their group, and a trial's root is shown only if it is another trial.
    """
    kept = ("number", "state", "reason", "root", "value", *columns(brief=True))
    brief_rows = []
    for row in rows:
        brief_row = {}
        for name, value in row.items():
            group, _, parameter = name.partition(".")
            if name in kept or group in GROUPS:
                brief_row[parameter or name] = value
        if row["root"] == row["number"]:
            brief_row["root"] = None
        brief_rows.append(brief_row)
    return brief_rows


def epoch_rows(stored: StoredStudy) -> list[Row]:
    """Return a row for each epoch of every trial that has a folder.

    A row has losses, the learning rate, seconds and, for epochs that were evaluated, metrics.
    """
    rows = []
    for trial in logical_trials(stored.trials):
        root = root_number(trial)
        rows += [{"trial": root, **row} for row in curve_rows(stored.files(trial))]
    return rows


def trial_facts(stored: StoredStudy, trial: FrozenTrial) -> Row:
    """Return everything about one trial: its row, its configuration, its folder, and its metric by epoch (`curve`).

    What is said of a configuration that was enqueued, such as where a warm start comes from, is `metadata`.
    """
    row = _trial_row(stored, trial, {}, resumed_rows(stored.trials))
    if metadata := TrialRecord(trial).get(TrialRecord.metadata):
        row["metadata"] = dict(metadata)
    row["configuration"] = stored.values(trial)
    curve = sorted(trial.intermediate_values.items())
    row["curve"] = {str(epoch): value for epoch, value in curve}
    # A continued trial keeps its files in the folder of its root, the trial that began it.
    row["folder"] = str(stored.folder.trial(row["root"]).path)
    return row


def write_tables(stored: StoredStudy) -> None:
    """Write trials.csv and epochs.csv to the study's folder from what is stored, in place of older ones."""
    write_text(stored.folder.path / "trials.csv", as_csv(trial_rows(stored)))
    write_text(stored.folder.path / "epochs.csv", as_csv(epoch_rows(stored)))


def _time(value: datetime | None) -> str | None:
    """Return a time as ISO text in UTC, to the second; a naive time, such as Optuna's, is local."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if value else None
