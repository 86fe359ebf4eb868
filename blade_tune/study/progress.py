"""Whether a study needs more trials, and how a trial ended, in words."""

from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from blade_tune.storage.spending import is_begun
from blade_tune.storage.trial_record import EndReason, TrialRecord
from blade_tune.storage.trials import is_promoted, num_configurations, num_scored
from blade_tune.study.stored import StoredStudy


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
    if limit and stored.definition.is_fitted:
        points = stored.definition.space.count()
        if points is not None and num_configurations(trials) >= points:
            return f"every point of the space is tried: {scored} trials are scored"
    is_grid = stored.definition.search.sampler == "grid"
    if is_grid and num_configurations(trials) == stored.definition.space.count():
        return f"every point of the grid is tried: {scored} trials are scored"
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
