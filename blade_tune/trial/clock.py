"""The clock of a trial: after how many seconds each of its figures was there."""

import math
import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from optuna.trial import FrozenTrial, Trial

from blade_tune.storage.folder import TrialFolder
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.training.loop import EpochRecord
from blade_tune.trial.curves import curve_rows


class Clock:
    """Reads the time while one row of a trial trains.

    Training is what the epochs took, in all attempts of the trial. A row's own seconds run from its start and hold
    whatever it waited for. A new best is stored at once, so its time is known however the row ends.

    Args:
        trial: the row.
    """

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        begun = trial.datetime_start or datetime.now()
        self._begun = time.monotonic() - max(0.0, (datetime.now() - begun).total_seconds())  # which nobody sets
        self._readings: list[tuple[int, float, float]] = []
        self._highest = -math.inf

    def read(self, history: Sequence[EpochRecord], epoch: int, figure: float) -> None:
        """Note the time of an evaluation; to be called before its figure is reported.

        Args:
            history: the training's epochs so far.
            epoch: the one that was evaluated.
            figure: what it reached.
        """
        trained = sum(record.seconds for record in history if record.epoch <= epoch)
        self._readings.append((epoch, round(trained, 3), round(time.monotonic() - self._begun, 3)))
        if figure > self._highest:
            self._highest = figure
            self.store()

    def store(self) -> None:
        """Have the database know every reading.

        Raises:
            UpdateFinishedTrialError: the row was ended by somebody else.
        """
        TrialRecord(self._trial).clock = [*self._readings]


def row_seconds(trial: FrozenTrial) -> dict[int, float]:
    """After how many seconds of its own a row had reported each epoch; empty where that was not stored."""
    return {epoch: seconds for epoch, _, seconds in TrialRecord(trial).get(TrialRecord.clock, ())}


def training_seconds(trial: FrozenTrial, files: TrialFolder, metric: str) -> Mapping[int, float]:
    """Seconds of training until the end of each reported epoch, as far as they are known.

    The database has them. Of a trial of an earlier version its metrics file has, where that is at hand and tells the
    figures that the database has.

    Args:
        trial: a row of a study.
        files: of the trial.
        metric: the study's.
    """
    record = TrialRecord(trial)
    if TrialRecord.clock in record:
        return {epoch: seconds for epoch, seconds, _ in record.clock}
    found, trained = {}, 0.0
    for row in curve_rows(files):
        trained += row["seconds"]
        if metric in row and row[metric] == trial.intermediate_values.get(row["epoch"]):
            found[row["epoch"]] = trained
    return found
