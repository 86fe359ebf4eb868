"""Studies as plain rows: numbers first, whoever shows them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from optuna.trial import FrozenTrial

from blade_tune.report import Row
from blade_tune.search.replicates import pooled_noise
from blade_tune.selection.scores import valid_figures
from blade_tune.space import GROUPS
from blade_tune.storage.attempts import Attempt
from blade_tune.storage.folder import write_text
from blade_tune.storage.trial_record import TrialRecord, columns
from blade_tune.storage.trials import (
    best_trial,
    count_states,
    is_continued,
    is_scored,
    logical_trials,
    num_scored,
    root_number,
)
from blade_tune.study.stored import StoredStudy
from blade_tune.study.time_to_baseline import first_passing
from blade_tune.trial.curves import as_csv, curve_rows


def status(stored: StoredStudy) -> Row:
    """How far a study is, its best trial, what its values are to be judged by, its cost, and who is at work."""
    attempts = stored.attempts.open_attempts()  # before the rows, which have every trial of an attempt then
    now = stored.attempts.now()
    trials = stored.trials
    best = best_trial(trials)
    noise, verdict = pooled_noise(stored.definition.space, trials), stored.verdict(trials)
    return {
        "name": stored.definition.name,
        "model": stored.definition.model,
        "metric": stored.definition.objective.metric,
        "budget": stored.budget,
        "scored": num_scored(trials),
        "trials": count_states(trials),
        "best": {"number": best.number, "value": best.value, "params": _params(stored, best)} if best else None,
        "baselines": (stored.baseline_figures | stored.baselines_left_out) or None,
        "verdict": verdict.facts if verdict else None,
        "warning": stored.warning(trials) or None,
        "time_to_baseline": first_passing(stored, trials).facts,
        "noise": vars(noise) if noise else None,
        "failures": count_failures(trials),
        "gpu_hours": round(stored.attempts.gpu_seconds() / 3600, 3),
        "workers": [_worker_row(attempt, trials, now) for attempt in attempts],
    }


def count_failures(trials: Iterable[FrozenTrial]) -> dict[str, int]:
    """How many trials came to nothing, by reason: those that failed, and the invalid ones and those out of memory."""
    ended = (trial for trial in trials if trial.state.is_finished() and not is_continued(trial))
    return dict(
        Counter(TrialRecord(trial).get(TrialRecord.reason, "unknown") for trial in ended if not is_scored(trial))
    )


def _worker_row(attempt: Attempt, trials: Sequence[FrozenTrial], now: float) -> Row:
    """Who is at work, on what, how far that trial is, and when the worker last said that it is alive."""
    number = attempt.trial_number
    reports = {} if number is None else trials[number].intermediate_values
    return {
        "trial": number,
        "epochs": max(reports, default=0),
        "best": max(reports.values(), default=None),
        "host": attempt.owner.host.partition("/")[0],
        "pid": attempt.owner.pid,
        "device": attempt.device,
        "since": _time(datetime.fromtimestamp(attempt.claimed, UTC)),
        "heard_s": round(max(0.0, now - attempt.renewed), 1),
    }


def trial_rows(stored: StoredStudy) -> list[Row]:
    """A row a trial, in order of number; every row has the same columns, parameters under their dotted names."""
    absent = dict.fromkeys(stored.definition.space.free)
    return [_trial_row(stored, trial, {**absent, **_params(stored, trial)}) for trial in stored.trials]


def _params(stored: StoredStudy, trial: FrozenTrial) -> Row:
    """The free parameters as the trial was trained on them: Optuna's have the dust of adding steps."""
    values = stored.values(trial)
    return {name: values[name] for name in stored.definition.space.free if name in trial.params}


def _trial_row(stored: StoredStudy, trial: FrozenTrial, params: Row) -> Row:
    record = TrialRecord(trial)
    return {
        "number": trial.number,
        "state": "continued" if is_continued(trial) else trial.state.name.lower(),
        "reason": record.get(TrialRecord.reason),
        "root": root_number(trial),
        "value": trial.value,
        **params,
        **{name: record.stored.get(name) for name in columns()},
        **{f"valid.{name}": value for name, value in valid_figures(stored, trial).items()},
        "started": _time(trial.datetime_start),
        "ended": _time(trial.datetime_complete),
    }


def brief(rows: Sequence[Row]) -> list[Row]:
    """The columns of trial rows that fit a screen, parameters without their group, the root where it is another row."""
    kept = ("number", "state", "reason", "root", "value", *columns(brief=True))
    shown = ({**row, "root": None if row["root"] == row["number"] else row["root"]} for row in rows)
    return [
        {name.partition(".")[2] or name: value for name, value in row.items() if name in kept or _is_parameter(name)}
        for row in shown
    ]


def _is_parameter(name: str) -> bool:
    return name.partition(".")[0] in GROUPS


def epoch_rows(stored: StoredStudy) -> list[Row]:
    """A row an epoch of every trial that has a folder: losses, learning rate, seconds, and metrics where evaluated."""
    return [
        {"trial": root_number(trial), **row}
        for trial in logical_trials(stored.trials)
        for row in curve_rows(stored.files(trial))
    ]


def trial_facts(stored: StoredStudy, trial: FrozenTrial) -> Row:
    """Everything about one trial: its row, its whole configuration, and its curve on the study's metric."""
    row = _trial_row(stored, trial, {})
    row["configuration"] = stored.values(trial)
    row["curve"] = {str(epoch): value for epoch, value in sorted(trial.intermediate_values.items())}
    row["folder"] = str(stored.folder.trial(row["root"]).path)
    return row


def write_tables(stored: StoredStudy) -> None:
    """Write trials.csv and epochs.csv into the study's folder, anew from what is stored."""
    write_text(stored.folder.path / "trials.csv", as_csv(trial_rows(stored)))
    write_text(stored.folder.path / "epochs.csv", as_csv(epoch_rows(stored)))


def _time(value: datetime | None) -> str | None:
    """UTC to the second; Optuna's times are naive and local."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if value else None
