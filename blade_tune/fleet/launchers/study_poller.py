"""Events of a study whose workers run elsewhere, derived from its database by polling."""

import math
import time

from optuna.trial import FrozenTrial, TrialState

from blade_tune.storage.trial_record import TrialRecord
from blade_tune.storage.trials import is_continued, own_values
from blade_tune.study.progress import describe, summary_of
from blade_tune.study.stored import StoredStudy
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.trial.callback import Callback


class StudyPoller:
    """Reports to a callback what has changed in a study's database between one poll and the next.

    Args:
        stored: the study; trials that have ended by now are not reported.
        callback: receives the events.
    """

    def __init__(self, stored: StoredStudy, callback: Callback) -> None:
        self._stored = stored
        self._callback = callback
        self._metric: str = stored.definition.objective.metric
        self._has_reported_baselines = False
        self._ended = {trial.number for trial in stored.trials if trial.state.is_finished()}
        # Number of a trial -> its latest epoch, and when that was seen.
        self._epochs: dict[int, tuple[int, float]] = {}

    def poll(self) -> None:
        """Report everything that has happened since the last call."""
        if not self._has_reported_baselines and (figures := self._stored.baseline_figures):
            self._has_reported_baselines = True
            self._callback.baselines_measured(figures, self._stored.baselines_left_out)
        for trial in self._stored.trials:
            if trial.number not in self._ended and trial.state != TrialState.WAITING:
                self._report_trial(trial)
        self._callback.progressed(summary_of(self._stored))

    def _report_trial(self, trial: FrozenTrial) -> None:
        """Report a trial's start, latest epoch and end, as far as they are new."""
        number = trial.number
        callback = self._callback
        # The seed is stored after the last parameter was suggested, so the configuration is whole from then on.
        if number not in self._epochs and TrialRecord.seed in TrialRecord(trial):
            self._epochs[number] = (0, time.monotonic())
            callback.trial_started(number, own_values(self._stored.definition.space, trial))
        if number in self._epochs:
            self._report_epoch(trial)
        if not trial.state.is_finished():
            return
        self._ended.add(number)
        if is_continued(trial):
            callback.trial_lost(number)
        else:
            callback.trial_ended(number, describe(trial), trial.value, summary_of(self._stored))

    def _report_epoch(self, trial: FrozenTrial) -> None:
        """Report a trial's latest evaluation if it is new.

        The record has no losses and no learning rate, which are in the trial's files only, and its seconds are the mean
        time per epoch between the polls that saw this evaluation and the one before.
        """
        before, since = self._epochs[trial.number]
        epoch = max(trial.intermediate_values, default=0)
        if epoch > before:
            now = time.monotonic()
            metrics = {self._metric: trial.intermediate_values[epoch]}
            seconds = (now - since) / (epoch - before)
            record = EpochRecord(epoch, {}, math.nan, seconds, metrics)
            self._epochs[trial.number] = (epoch, now)
            self._callback.epoch_ended(trial.number, record)
