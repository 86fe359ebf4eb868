"""How far a study is, how long it still takes and whether it needs more trials; how a trial ended, in words."""

from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from blade_tune.storage.pace import Pace, Work, find_pace
from blade_tune.storage.spending import is_begun, words_of
from blade_tune.storage.trial_record import EndReason, TrialRecord
from blade_tune.storage.trials import best_trial, is_promoted, num_configurations, num_scored
from blade_tune.study.stored import StoredStudy
from blade_tune.trial.callback import StudySummary

# Seconds without a heartbeat after which a process of another machine counts as gone, as `grace_s` is by default
SILENT_S = 120.0


def summary_of(stored: StoredStudy) -> StudySummary:
    """Return a study's progress, its best trial, the verdict on it, and how long the study still takes.

    A study of runs has no best one: none of them is chosen.
    """
    trials = stored.trials
    best = None if stored.definition.is_given else best_trial(trials)
    verdict = stored.verdict(trials)
    limit = stored.limit
    return StudySummary(
        name=stored.definition.name,
        metric=stored.definition.objective.metric,
        scored=num_scored(trials),
        budget=stored.budget,
        best_number=best.number if best else None,
        best_value=best.value if best else None,
        best_params=best.params if best else None,
        verdict=str(verdict) if verdict else "",
        warning=stored.warning(trials),
        unit=words_of(limit.unit) if limit else "",
        spent=limit.spent(trials) if limit else 0.0,
        limit=limit.total if limit else 0.0,
        pace=pace_of(stored, trials),
    )


def pace_of(stored: StoredStudy, trials: Sequence[FrozenTrial]) -> Pace | None:
    """Return how fast a study goes and how long it still takes; None where that is not known, or nobody works on it.

    Args:
        stored: the study.
        trials: all of its rows.
    """
    attempts = stored.attempts
    work = Work(attempts.open_attempts(), attempts.num_workers(SILENT_S), attempts.now())
    budget = min(stored.budget, _num_points(stored) or stored.budget)
    return find_pace(trials, work, stored.definition.train.max_epochs, budget, stored.limit)


def why_done(stored: StoredStudy) -> str | None:
    """Return the reason that a study needs no more training, or None if it needs more.

    A study whose pruner promotes needs more as long as one of its paused trials goes on, or may once those that run
    have ended.
    """
    trials = stored.trials
    why = _why_no_trial(stored, trials)
    return None if why and _may_go_on(stored, trials) else why


def _why_no_trial(stored: StoredStudy, trials: Sequence[FrozenTrial]) -> str | None:
    """Return the reason that a study starts no more trials, or None if it does."""
    scored, budget = num_scored(trials), stored.budget
    if scored >= budget:
        return f"{scored} of {budget} trials are scored"
    if stored.definition.is_given and all(trial.state.is_finished() for trial in trials):
        return f"{scored} of {budget} runs are complete, the others failed"
    limit = stored.limit
    if limit and limit.is_reached(trials) and not any(map(_waits_to_go_on, trials)):
        return f"{limit.spent_words(trials)} are spent: {scored} trials are scored"
    num_points = _num_points(stored)
    if num_points is not None and num_configurations(trials) >= num_points:
        what = "grid" if stored.definition.search.sampler == "grid" else "space"
        return f"every point of the {what} is tried: {scored} trials are scored"
    return None


def _num_points(stored: StoredStudy) -> int | None:
    """Return how many configurations a study tries that tries each once; None for one that goes on."""
    is_grid = stored.definition.search.sampler == "grid"
    if is_grid or (stored.limit and stored.definition.is_fitted):
        return stored.definition.space.count()
    return None


def _may_go_on(stored: StoredStudy, trials: Sequence[FrozenTrial]) -> bool:
    """Whether a trial that was paused waits to go on, or may still be promoted."""
    if any(_waits_to_go_on(trial) and is_promoted(trial) for trial in trials):
        return True
    limit = stored.limit
    if limit and limit.is_reached(trials):
        return False
    running = [trial for trial in trials if trial.state == TrialState.RUNNING]
    if any(map(is_promoted, running)):
        return True
    standing = stored.standing(trials)
    # A trial that runs may lift another at a rung, or pause there and wait to be promoted itself.
    return standing is not None and (bool(running) or standing.promotable() is not None)


def _waits_to_go_on(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.WAITING and is_begun(trial)


def describe(trial: FrozenTrial) -> str:
    """Return how a trial ended, in a few words: "complete", "pruned", or the state with reason and message."""
    state = trial.state.name.lower()
    record = TrialRecord(trial)
    reason = record.get(TrialRecord.reason, "")
    message = record.get(TrialRecord.message, "")
    if reason in ("", EndReason.PRUNED):
        return state
    if reason == EndReason.PAUSED:
        return f"{EndReason.PAUSED} {message}"
    return f"{state} ({reason}: {message})" if message else f"{state} ({reason})"
