"""The story of a study that is worked on elsewhere, read from its database."""

import math
import time

from optuna.trial import FrozenTrial, TrialState

from blade_tune.fleet.worker import describe
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.storage.trials import is_continued
from blade_tune.study.stored import StoredStudy
from blade_tune.training.loop import EpochRecord
from blade_tune.trial.callback import Callback


class StudyPoller:
    """Tells an callback what happened to a study since the last time.

    Args:
        stored: the study; what ended before is not told.
        callback: hears it.
    """

    def __init__(self, stored: StoredStudy, callback: Callback) -> None:
        self._stored = stored
        self._observer = callback
        self._metric: str = stored.definition.objective.metric
        self._is_told_baselines = False
        self._ended = {trial.number for trial in stored.trials if trial.state.is_finished()}
        self._epochs: dict[int, tuple[int, float]] = {}  # of the trials that run: the latest, and when it was seen

    def tell(self) -> None:
        """Go on with the story."""
        if not self._is_told_baselines and (figures := self._stored.baseline_figures):
            self._is_told_baselines = True
            self._observer.baselines_measured(figures, self._stored.baselines_left_out)
        for trial in self._stored.trials:
            if trial.number not in self._ended and trial.state != TrialState.WAITING:
                self._tell_of(trial)

    def _tell_of(self, trial: FrozenTrial) -> None:
        number, callback = trial.number, self._observer
        if number not in self._epochs and TrialRecord.seed in TrialRecord(trial):  # now all parameters are known
            self._epochs[number] = 0, time.monotonic()
            callback.trial_started(number, trial.params)
        if number in self._epochs:
            self._tell_epoch(trial)
        if not trial.state.is_finished():
            return
        self._ended.add(number)
        if is_continued(trial):
            callback.trial_lost(number)
        else:
            callback.trial_ended(number, describe(trial), trial.value, self._stored.summary())

    def _tell_epoch(self, trial: FrozenTrial) -> None:
        """The latest evaluation; losses and learning rate are in the trial's own files only."""
        before, since = self._epochs[trial.number]
        epoch = max(trial.intermediate_values, default=0)
        if epoch > before:
            now = time.monotonic()
            metrics = {self._metric: trial.intermediate_values[epoch]}
            record = EpochRecord(epoch, {}, math.nan, (now - since) / (epoch - before), metrics)
            self._epochs[trial.number] = epoch, now
            self._observer.epoch_ended(trial.number, record)
