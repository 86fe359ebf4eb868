"""Removal of the files that ended trials need no more."""

from collections.abc import Sequence

from optuna.trial import FrozenTrial

from blade_tune.files import remove
from blade_tune.storage.trials import is_paused, logical_trials, ranked, root_number
from blade_tune.study.stored import StoredStudy


class Cleaner:
    """Deletes files of ended trials that are not needed: checkpoints, and the weights of all but the best trials.

    A complete trial that is not among the best now never will be again, so each trial's weights are looked for only
    once. The same holds for the checkpoint of a paused trial that is not `Standing.hopeful`.

    Args:
        stored: the study.
        keep: number of best trials that keep their weights.
    """

    def __init__(self, stored: StoredStudy, keep: int) -> None:
        self._stored = stored
        self._keep = keep
        self._without_weights: set[int] = set()  # numbers of trials whose weights are removed
        self._without_checkpoint: set[int] = set()  # numbers of paused rows that have none

    def clean(self, number: int) -> None:
        """Remove the files that nobody needs any more now that a trial has ended or was paused.

        These are the checkpoint of the trial itself, unless it may go on, those of paused trials that can no longer be
        promoted, and the weights of all trials that are not among the best.

        Args:
            number: the number of the row that ended.
        """
        trials = self._stored.trials
        if not is_paused(trials[number]):
            remove(self._stored.files(trials[number]).checkpoint)
        for trial in hopeless(self._stored, trials):
            if trial.number not in self._without_checkpoint:
                remove(self._stored.files(trial).checkpoint)
                self._without_checkpoint.add(trial.number)
        for trial in ranked(trials)[self._keep :]:
            if trial.number not in self._without_weights:
                remove(self._stored.files(trial).weights)
                self._without_weights.add(trial.number)


def hopeless(stored: StoredStudy, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the paused rows whose trials will not be promoted, so that their checkpoints are not needed.

    Args:
        stored: the study.
        trials: all rows of the study.
    """
    paused = [trial for trial in logical_trials(trials) if is_paused(trial)]
    if not paused:
        return []
    standing = stored.standing(trials)
    hopeful = standing.hopeful if standing else set()
    return [trial for trial in paused if root_number(trial) not in hopeful]
