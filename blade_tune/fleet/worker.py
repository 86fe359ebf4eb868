"""The worker: trains one trial of a stored study after another until the study's budget is used.

For each trial a worker claims a slot of the budget, asks Optuna for the trial, holds a lease of it by a heartbeat while
it trains, and stores how it ended. Any number of workers, on any machines, do this on one study at a time; they meet in
its database only. A worker never assumes that a trial is still its own: one that was silent for too long loses the
trial to another worker, and finds that out when it checks its lease or stores the result.
"""

import gc
import logging
import time
from datetime import datetime
from pathlib import Path

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from blade_tune.errors import (
    InterruptedStudyError,
    LeaseLostError,
    TooManyFailuresError,
    WorkerSpentError,
)
from blade_tune.fleet.device_lock import device_turn
from blade_tune.fleet.worker_config import WorkerConfig
from blade_tune.spec.fingerprint import require_same
from blade_tune.storage.attempts import Claimant
from blade_tune.storage.lease import Lease
from blade_tune.storage.process import Owner
from blade_tune.storage.recovery import continuation
from blade_tune.storage.trial_record import EndReason, Given, TrialRecord, attributes
from blade_tune.storage.trials import (
    is_continued,
    is_promoted,
    latest_failures,
)
from blade_tune.study.cleaner import Cleaner
from blade_tune.study.progress import describe, why_done
from blade_tune.study.stored import StoredStudy, require_maximized
from blade_tune.study.verdict import pair
from blade_tune.training.baselines import REFERENCE
from blade_tune.training.device_data import resolve_device
from blade_tune.trial.artifacts import upload_trial
from blade_tune.trial.callback import Callback
from blade_tune.trial.files import digests, read_ranks
from blade_tune.trial.objective import Objective, TrialResult
from blade_tune.trial.signals import StopSignals

log = logging.getLogger(__name__)

TRACEBACK = "Traceback (most recent call last)"
SLOW_ROWS = 1_000_000  # rows of train data from which on the baselines take noticeable time
# Seconds between two tries to claim a slot while running trials hold all that are open
POLL_S = 0.5


class Worker:
    """A process's work on one study.

    Measures the study's baselines when it is made, if no worker has before.

    Args:
        stored: the study, whose data must be on this machine.
        config: the worker's configuration.
        callback: receives the events of the worker's trials.
        signals: the signals that this process receives, checked after every epoch and between trials.

    Raises:
        StudyDiffersError: the data on this machine, or this version of the package, is not that of the study.
    """

    def __init__(
        self, stored: StoredStudy, config: WorkerConfig, callback: Callback, signals: StopSignals
    ) -> None:
        definition = stored.definition
        data = stored.data(config.data)
        require_same(stored.study.user_attrs["fingerprint"], definition, data.data_hash)
        require_maximized(stored.study)
        stored.claim_folder()
        self.stored = stored
        self.config = config
        self.callback = callback
        self.signals = signals
        device = resolve_device(config.device)
        self.claimant = Claimant(Owner.here(), device.type, config.share)
        self.cleaner = Cleaner(stored, config.keep)
        self.objective = Objective(
            definition, data, stored.folder, device, callback, lambda: bool(signals)
        )
        is_new = not stored.baseline_figures
        if is_new and len(data.train) > SLOW_ROWS:
            callback.noted("measuring what untuned models reach; this is done once for these data")
        self.data = data
        left_out = stored.measure_baselines(data).left_out
        if is_new:
            callback.baselines_measured(stored.baseline_figures, left_out)

    def run(self) -> str:
        """Train trials until the study needs no more, and return the reason that it does not.

        Raises:
            InterruptedStudyError: a signal was received; an interrupted trial is queued again with its checkpoint.
            TooManyFailuresError: `max_consecutive_failures` trials in a row failed.
            WorkerSpentError: memory ran out, which only the end of this process frees for certain.
            DiskFullError: the disk has no room for a trial's files.
        """
        while True:
            if why := why_done(self.stored):
                return why
            if self.signals:
                raise self.signals.error()
            check_failures(self.stored, self.config)
            # A promoted trial comes first, and takes no slot of the budget.
            attempt, number = take_promoted(self.stored, self.claimant)
            # A study of runs has no trials but those that wait.
            if attempt is None and (not self.stored.definition.is_given or self._is_any_waiting()):
                attempt = self.stored.attempts.claim(self.stored.places, self.claimant)
            if attempt is None:
                time.sleep(POLL_S)
                continue
            try:
                self._run_trial(attempt, number)
            except KeyboardInterrupt:
                raise self.signals.error() from None
            # What is alive now (modules, data, the study's rows) outlives the next trial too. Frozen, it is left out of
            # later collections, which took most of the time between two trials.
            gc.collect()
            gc.freeze()

    def _run_trial(self, attempt: str, number: int | None = None) -> None:
        """Ask for a trial, train it and store its end, under the lease of an attempt.

        Args:
            attempt: id of the attempt, which has a slot of the budget or the row of a promoted trial.
            number: the number of that row; None to ask for a trial.
        """
        study, storage = self.stored.study, self.stored.storage
        with Lease(self.stored.attempts, attempt, self.config.heartbeat_s) as lease:
            if number is None:
                trial = study.ask()
            else:
                study_id = self.stored.study_id
                trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, number)
                trial = Trial(study, trial_id)
            if self.stored.definition.is_given and Given.of(trial) is None:
                self._drop(trial)  # another worker took the last run at this moment
                return
            try:
                lease.link(trial.number)
                alone = TrialRecord(trial).get(TrialRecord.alone, False)
                with device_turn(self.claimant, alone=alone, signals=self.signals):
                    end = self.objective(trial, lease.check)
            except (LeaseLostError, InterruptedStudyError, KeyboardInterrupt) as error:
                is_lost = isinstance(error, LeaseLostError)
                reason = EndReason.SUPERSEDED if is_lost else EndReason.INTERRUPTED
                end = TrialResult(TrialState.FAIL, reason=reason, message=str(error))
            if not self._store(trial, end):
                log.warning(
                    "trial=%d was given to another worker; its result is dropped", trial.number
                )
                self.callback.trial_lost(trial.number)
                return
        row = self._row(trial)
        self.callback.trial_ended(trial.number, describe(row), row.value, None)
        # The lease is over and the trial stored, so nothing is lost by ending this process.
        if end.error:
            raise end.error
        if end.reason == EndReason.OUT_OF_MEMORY:
            raise WorkerSpentError(f"trial {trial.number}: {end.message}")

    def _is_any_waiting(self) -> bool:
        return any(trial.state == TrialState.WAITING for trial in self.stored.trials)

    def _drop(self, trial: Trial) -> None:
        """End a trial that Optuna made because no given run was waiting any more."""
        attrs = attributes(reason=EndReason.SUPERSEDED, message="every run was taken.")
        self.stored.storage.give_away(self.stored.study_id, trial.number, attrs, None)

    def _store(self, trial: Trial, end: TrialResult) -> bool:
        """Store how a trial ended, and queue its continuation if there is to be one.

        Returns:
            False if the trial was given to another worker meanwhile, and so nothing of this end counts.
        """
        explanation = {"reason": end.reason, "message": end.message}
        attrs = attributes(**{name: text for name, text in explanation.items() if text})
        record = TrialRecord(trial)
        # Memory that ran out on a shared device may suffice for a trial that has the device to itself.
        retry_alone = (
            end.reason == EndReason.OUT_OF_MEMORY
            and self.config.share < 1.0
            and not record.get(TrialRecord.alone)
        )
        if end.is_continued or retry_alone:
            row = self._row(trial)
            if retry_alone:
                attrs |= attributes(reason=EndReason.SUPERSEDED)
                next_row = continuation(row, alone=True)
            else:
                next_row = continuation(row)
            # One transaction ends the row and queues its continuation: no crash can lose or double the trial.
            return self.stored.storage.give_away(
                self.stored.study_id, trial.number, attrs, next_row
            )
        try:
            record.write(attrs)
            if end.state == TrialState.COMPLETE:
                self._pair(trial)
            shown = upload_trial(trial, self.stored.folder, self.objective.metric)
            own = digests(self.stored.files(self._row(trial)))
            record.files = {**own, **shown}
            self.stored.study.tell(trial, end.value, state=end.state)
        except (UpdateFinishedTrialError, ValueError):
            # `tell` raises ValueError for a row that has ended
            row = self._row(trial)
            if not row.state.is_finished():
                raise
            # The row may have ended by this very call, repeated after a lost connection: then the end is stored.
            if row.state != end.state or is_continued(row):
                return False
        self.cleaner.clean(trial.number)
        return True

    def _pair(self, trial: Trial) -> None:
        """Store the comparison, user by user, of a completed trial with the reference baseline.

        It is made now, while the trial's ranks are on this machine; a report may be made on another.
        """
        row = self._row(trial)
        baselines = self.stored.measure_baselines(self.data, self.stored.values(row))
        if REFERENCE in baselines.ranks:
            metric = self.objective.metric
            ranks_U = read_ranks(self.stored.files(row))
            paired = pair(ranks_U, baselines.ranks[REFERENCE], metric)
            figures = {name: metrics[metric] for name, metrics in baselines.metrics.items()}
            TrialRecord(trial).paired = {**paired, "baselines": figures}

    def _row(self, trial: Trial) -> FrozenTrial:
        return self.stored.trials[trial.number]


def take_promoted(stored: StoredStudy, claimant: Claimant) -> tuple[str | None, int | None]:
    """Start the row of a promoted trial: one that waits, or else one that is promoted now.

    Args:
        stored: the study.
        claimant: the process that is to train it.

    Returns:
        The id of the attempt and the number of the row; None for both where no paused trial goes on now.
    """
    while True:
        trials = stored.trials
        for trial in trials:
            if trial.state == TrialState.WAITING and is_promoted(trial):
                attempt = stored.attempts.take(trial.number, claimant)
                if attempt is not None:
                    return attempt, trial.number
        paused = stored.promotable(trials)
        if paused is None:
            return None, None
        # Where another worker has promoted it meanwhile, its row waits or runs at the next reading.
        next_row = continuation(paused, promoted=paused.number)
        stored.storage.promote(stored.study_id, paused.number, next_row)


def check_failures(stored: StoredStudy, config: WorkerConfig) -> None:
    """Raise an error if the latest trials of this run all failed, as many as `config.max_consecutive_failures`.

    Raises:
        TooManyFailuresError: they did. The message has the traceback of the latest one, from its log, or, if the log is
            not on this machine, the trial's own message.
    """
    of_this_run = (trial for trial in stored.trials if _ended_since(trial, config.since))
    failures = latest_failures(of_this_run)
    if len(failures) >= config.max_consecutive_failures:
        latest = failures[0]
        cause = _latest_traceback(stored.files(latest).log)
        if not cause:
            cause = TrialRecord(latest).get(TrialRecord.message, "of no known cause")
        raise TooManyFailuresError(
            f"study {config.study}: {len(failures)} trials in a row failed; "
            f"the latest, trial {latest.number}: {cause}"
        )


def _latest_traceback(log_file: Path) -> str:
    """Return the latest traceback in a log; empty where there is none, or the log is not on this machine."""
    if not log_file.is_file():
        return ""
    text = log_file.read_text(encoding="utf-8", errors="replace")
    _, heading, frames = text.rpartition(TRACEBACK)
    return heading + frames.rstrip() if heading else ""


def _ended_since(trial: FrozenTrial, since: datetime) -> bool:
    # Optuna's times are local ones without a time zone.
    return trial.datetime_complete is not None and trial.datetime_complete.astimezone() >= since
