"""Numbers behind the report's figures: what trials cost, what pruning may have lost, which parameters mattered."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import optuna
from optuna.trial import FrozenTrial, TrialState

from blade_tune.report import Row
from blade_tune.selection.runs import find_runs
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.storage.trials import (
    is_continued,
    is_paused,
    is_scored,
    root_number,
    scored_trials,
)
from blade_tune.study.stored import StoredStudy

# The kinds of trials by which cost is summed up
KINDS = ("complete", "pruned", "paused", "repeated", "failed", "unfinished", "fresh seeds")
MIN_TRIALS = 20  # fewest completed trials for importances: the top tenth of fewer is a single trial
# Fewest completed trials for each free parameter: with fewer, some parameter always tells the top ones by chance
TRIALS_A_PARAMETER = 2
STEADY_TOP = 5  # fewest trials in the top tenth for which Optuna calls importances stable


def completed(stored: StoredStudy) -> list[FrozenTrial]:
    """Return the completed trials, in order of number."""
    trials = [trial for trial in stored.trials if trial.state == TrialState.COMPLETE]
    return [trial for trial in trials if trial.value is not None]


def scored_values(stored: StoredStudy) -> list[float]:
    """Return the value of each scored trial; for a pruned or paused one, the best value that it reported."""
    values = []
    for trial in scored_trials(stored.trials):
        if trial.value is None or _is_pruned(trial):
            values.append(reached(trial))
        else:
            values.append(trial.value)
    return values


def reached(trial: FrozenTrial, epoch: float = float("inf")) -> float:
    """Return the best value that a trial reported up to an epoch; minus infinity if there is none."""
    reports = trial.intermediate_values.items()
    return max((value for step, value in reports if step <= epoch), default=float("-inf"))


def costs(stored: StoredStudy) -> list[Row]:
    """Return trials, epochs and hours of training by what they were spent on, without kinds that have no trial.

    A trial that was interrupted and continued counts once, with all its attempts. Repeats of a configuration are
    `repeated` however they ended; `fresh seeds` are the runs outside of the search. Of a process that was killed, the
    epochs up to its last evaluation are known, but not the hours of its last attempt.
    """
    spent: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    for attempts in _by_root(stored.trials):
        spent[_kind(attempts[-1])].append(_cost(attempts))
    runs = find_runs(stored)
    if runs:
        spent["fresh seeds"] = [_cost(attempts) for attempts in _by_root(runs.trials)]
    rows = []
    for kind in KINDS:
        trials = spent[kind]  # epochs and seconds of each
        if trials:
            epochs = sum(epochs for epochs, _ in trials)
            seconds = sum(seconds for _, seconds in trials)
            rows.append(
                {"kind": kind, "trials": len(trials), "epochs": epochs, "hours": seconds / 3600}
            )
    return rows


def _by_root(trials: Iterable[FrozenTrial]) -> Iterator[list[FrozenTrial]]:
    """Yield the attempts of every trial that was started, oldest first."""
    groups: defaultdict[int, list[FrozenTrial]] = defaultdict(list)
    for trial in trials:
        groups[root_number(trial)].append(trial)
    for attempts in groups.values():
        was_started = len(attempts) > 1 or attempts[0].state != TrialState.WAITING
        if was_started:
            yield attempts


def _cost(attempts: Sequence[FrozenTrial]) -> tuple[int, float]:
    """Return a trial's epochs and seconds: the largest of its attempts, each of which includes those it continued."""
    epochs, seconds = [], []
    for trial in attempts:
        record = TrialRecord(trial)
        last_report = max(trial.intermediate_values, default=0)
        epochs.append(record.get(TrialRecord.epochs, last_report))
        seconds.append(record.get(TrialRecord.seconds, 0.0))
    return max(epochs), max(seconds)


def _kind(trial: FrozenTrial) -> str:
    if not trial.state.is_finished() or is_continued(trial):
        return "unfinished"
    if TrialRecord(trial).get(TrialRecord.replicate, 0) > 0:
        return "repeated"
    if not is_scored(trial):
        return "failed"
    if is_paused(trial):
        return "paused"
    return "pruned" if _is_pruned(trial) else "complete"


def _is_pruned(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.PRUNED


def prune_audit(stored: StoredStudy) -> list[Row]:
    """Return a row for each trial that the pruner would have stopped but that was finished for this audit.

    `marked` is the epoch at which it would have been stopped, `reached` its best value up to then, `best then` the best
    value of trials that had completed before it ended, and `lead` by how much it was better than that.
    """
    trials = completed(stored)
    rows = []
    for trial in trials:
        was_marked = TrialRecord.pruned_at in TrialRecord(trial)
        if was_marked:
            rows.append(_audited(trial, trials))
    return rows


def _audited(trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> Row:
    record = TrialRecord(trial)
    marked = record.pruned_at
    last_report = max(trial.intermediate_values, default=marked)
    final, before = trial.value or 0.0, reached(trial, marked)
    others = [other for other in trials if other is not trial]
    earlier = [other.value or 0.0 for other in others if _ended(other) < _ended(trial)]
    best_then = max(earlier, default=None)
    return {
        "trial": trial.number,
        "marked": marked,
        "epochs": record.get(TrialRecord.epochs, last_report),
        "reached": before,
        "final": final,
        "gain": final - before,
        "best then": best_then,
        "lead": None if best_then is None else final - best_then,
        "is best": all(final > (other.value or 0.0) for other in others),
    }


def _ended(trial: FrozenTrial) -> tuple[datetime, int]:
    return trial.datetime_complete or datetime.max, trial.number


@dataclass(frozen=True)
class AuditSummary:
    """Summary of an audit of pruning: how often it would have cost the study a new best trial, and how much."""

    audited: int  # marked trials that were finished
    ahead: int  # those that ended above the best of the study at that time
    low: float  # lower end of the exact 95% interval of the share of marked trials that end ahead
    high: float  # upper end of that interval
    largest_lead: float  # 0 if none was ahead
    extra_epochs: int  # epochs after the mark, the cost of the audit


def audit_summary(rows: Sequence[Row]) -> AuditSummary | None:
    """Summarize the rows of `prune_audit`; None if nothing was audited."""
    if not rows:
        return None
    leads = [row["lead"] for row in rows if row["lead"] is not None]
    ahead = sum(lead > 0 for lead in leads)
    from scipy.stats import binomtest  # takes half a second to import

    interval = binomtest(ahead, len(rows)).proportion_ci(0.95, method="exact")
    return AuditSummary(
        audited=len(rows),
        ahead=ahead,
        low=float(interval.low),
        high=float(interval.high),
        largest_lead=max([0.0, *leads]),
        extra_epochs=sum(row["epochs"] - row["marked"] for row in rows),
    )


def enough_for_importances(num_completed: int, num_parameters: int) -> bool:
    """Return whether so many completed trials say anything of which of so many parameters mattered."""
    return num_completed >= max(MIN_TRIALS, TRIALS_A_PARAMETER * num_parameters)


def importances(stored: StoredStudy) -> dict[str, float] | None:
    """Return each parameter's importance, highest first: its share in telling the top tenth of trials from the others.

    The method is PED-ANOVA (Watanabe et al. 2023, IJCAI), which includes conditional parameters. None if too few
    trials have completed (`enough_for_importances`), or all have the same value.
    """
    trials = completed(stored)
    is_enough = enough_for_importances(len(trials), len(stored.definition.space.free))
    if not is_enough or len({trial.value for trial in trials}) == 1:
        return None
    return optuna.importance.get_param_importances(stored.study)
