"""Whether a study needs more trials, and how a trial ended, in words."""

from optuna.trial import FrozenTrial, TrialState

from blade_tune.storage.spending import is_begun
from blade_tune.storage.trial_record import EndReason, TrialRecord
from blade_tune.storage.trials import num_configurations, num_scored
from blade_tune.study.stored import StoredStudy


def why_done(stored: StoredStudy) -> str | None:
    """Return the reason that a study needs no more trials, or None if it needs more."""
    trials, budget = stored.trials, stored.budget
    scored = num_scored(trials)
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
    return f"{state} ({reason}: {message})" if message else f"{state} ({reason})"
