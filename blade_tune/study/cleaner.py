"""Removal of the files that ended trials need no more."""

from blade_tune.files import remove
from blade_tune.storage.trials import ranked
from blade_tune.study.stored import StoredStudy


class Cleaner:
    """Deletes files of ended trials that are not needed: checkpoints, and the weights of all but the best trials.

    A complete trial that is not among the best now never will be again, so each trial's weights are looked for only
    once.

    Args:
        stored: the study.
        keep: number of best trials that keep their weights.
    """

    def __init__(self, stored: StoredStudy, keep: int) -> None:
        self._stored = stored
        self._keep = keep
        self._without_weights: set[int] = set()  # numbers of trials whose weights are removed

    def clean(self, number: int) -> None:
        """Remove the checkpoint of a trial that has ended, and the weights of all trials that are not among the best.

        Args:
            number: the number of the row that ended.
        """
        trials = self._stored.trials
        remove(self._stored.files(trials[number]).checkpoint)
        for trial in ranked(trials)[self._keep :]:
            if trial.number not in self._without_weights:
                remove(self._stored.files(trial).weights)
                self._without_weights.add(trial.number)
