"""Timing of a trial: how many seconds passed until each of its validation figures was known.

A trial that is interrupted and continued has several rows in the study, one for each attempt. Two times are therefore
kept for every evaluated epoch: the seconds of training, summed over all attempts, and the seconds since the start of
the row itself, which include waiting for a device or for the database. `Clock` records both while a trial runs;
`row_seconds` and `training_seconds` read them back.
"""

import math
import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from optuna.trial import FrozenTrial, Trial

from blade_tune.storage.folder import TrialFolder
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.trial.curves import curve_rows


class Clock:
    """Recorder of the times at which one row of a trial was evaluated.

    The database is written to whenever a figure is a new best, so that the best figure's time survives however the row
    ends; other readings wait for the next call of `store`.

    Args:
        trial: the row of the study that trains now.
    """

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        now = datetime.now()
        age = (now - (trial.datetime_start or now)).total_seconds()
        # The row's start on the monotonic clock, which, unlike the wall clock, cannot be set while the trial runs.
        self._begun = time.monotonic() - max(0.0, age)
        # The epoch, the seconds of training, and the seconds of the row
        self._readings: list[tuple[int, float, float]] = []
        self._highest = -math.inf

    def read(self, history: Sequence[EpochRecord], epoch: int, figure: float) -> None:
        """Record the time of an evaluation. Call this before the figure is reported to Optuna.

        Args:
            history: every epoch of the training so far, those of earlier attempts included.
            epoch: number of the evaluated epoch, from 1.
            figure: the epoch's value of the study's metric.
        """
        trained = sum(record.seconds for record in history if record.epoch <= epoch)
        passed = time.monotonic() - self._begun
        self._readings.append((epoch, round(trained, 3), round(passed, 3)))
        if figure > self._highest:
            self._highest = figure
            self.store()

    def store(self) -> None:
        """Write all readings to the database.

        Raises:
            UpdateFinishedTrialError: another process has ended the row.
        """
        TrialRecord(self._trial).clock = [*self._readings]


def row_seconds(trial: FrozenTrial) -> dict[int, float]:
    """Return, for each epoch that a row reported, the seconds from the row's start until then.

    Returns:
        Epoch -> seconds; empty for a row without stored readings.
    """
    readings = TrialRecord(trial).get(TrialRecord.clock, ())
    return {epoch: seconds for epoch, _, seconds in readings}


def training_seconds(trial: FrozenTrial, files: TrialFolder, metric: str) -> Mapping[int, float]:
    """Return the seconds of training until the end of each reported epoch, summed over all attempts of the trial.

    The database has these times. For a row that an earlier version wrote they are computed from the trial's metrics
    file, for the epochs whose figure in the file equals the one in the database.

    Args:
        trial: a row of a study.
        files: the folder of the row's trial.
        metric: name of the study's metric.

    Returns:
        Epoch -> seconds; without the epochs whose time is not known.
    """
    record = TrialRecord(trial)
    if TrialRecord.clock in record:
        return {epoch: seconds for epoch, seconds, _ in record.clock}

    # Sum the seconds of the epochs in the file.
    seconds_by_epoch = {}
    trained = 0.0
    for row in curve_rows(files):
        trained += row["seconds"]
        epoch = row["epoch"]
        if metric in row and row[metric] == trial.intermediate_values.get(epoch):
            seconds_by_epoch[epoch] = trained
    return seconds_by_epoch
