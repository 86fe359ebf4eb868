"""How far changed inputs move a configuration's trained runs: means over runs, and the sentence on them."""

from collections.abc import Mapping, Sequence

from blade_tune.storage.trial_record import TrialRecord
from blade_tune.study.stored import StoredStudy

CHANGES: Mapping[str, str] = {
    "sets": "all sets emptied",
    "told": "told the rarest behavior",
    "order": "order shuffled",
    "dropout": "two dropout passes",
}


def moves_of(study: StoredStudy, runs: Sequence[int]) -> dict[str, float]:
    """Return the mean of each move over the runs of one configuration, by the names of `training.moves`.

    Args:
        study: the study of runs.
        runs: their numbers in it.

    Returns:
        Empty if none was measured, as in an earlier version.
    """
    trials = study.trials
    measured = [TrialRecord(trials[number]).get(TrialRecord.moves, {}) for number in runs]
    return {
        name: sum(moves[name] for moves in measured) / len(measured)
        for name in CHANGES
        if measured and all(name in moves for moves in measured)
    }


def moves_words(moves: Mapping[str, float], *, is_fitted: bool) -> str:
    """Return in words how far each change moves a model, relative to its states or scores."""
    if not moves:
        return "what moves its states was not measured when its runs were trained"
    what = "scores" if is_fitted else "states"
    listed = [f"{words} {moves[name]:.2g}" for name, words in CHANGES.items() if name in moves]
    return f"{what} move by: {', '.join(listed)}"
