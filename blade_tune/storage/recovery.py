"""Recovery: finds trials whose worker is gone, ends them as `lost`, and queues them again from their checkpoint.

A trial that was interrupted is several rows in Optuna's table: each attempt that ended is a failed row, and the row
that continues it has the same parameters and the number of the first row (`TrialRecord.root`), whose folder has the
checkpoint. Every process that supervises a study sweeps for lost trials; `StudyStorage.give_away` makes sure that only
one of them queues a trial again.
"""

import logging
import time
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from blade_tune.files import remove
from blade_tune.storage.attempts import Attempt, Attempts
from blade_tune.storage.folder import StudyFolder
from blade_tune.storage.optuna_storage import StudyStorage
from blade_tune.storage.trial_record import EndReason, TrialRecord, attributes
from blade_tune.storage.trials import root_number

log = logging.getLogger(__name__)

MAX_RETRIES = 5  # times in a row that a trial is queued again without having trained one more epoch


def continuation(trial: FrozenTrial, **attrs: Any) -> FrozenTrial:
    """Return a waiting row, not stored yet, that continues a trial from its checkpoint with the same parameters.

    Args:
        trial: the row that ended or is about to.
        attrs: user attributes of the new row, by the names that `TrialRecord` declares, besides the inherited ones.
    """
    # Optuna keeps the parameters of an enqueued trial here until it starts; a row that was lost before has no others.
    fixed = {name: value for name, value in trial.system_attrs.items() if name == "fixed_params"}
    own_attrs = attributes(root=root_number(trial), **attrs)
    return optuna.create_trial(
        state=TrialState.WAITING,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs={**TrialRecord(trial).inherited, **own_attrs},
        system_attrs=fixed,
    )


@dataclass
class _Sighting:
    """The latest heartbeat of an attempt, and when this process first saw it."""

    renewed: float  # seconds since 1970 by the database's clock, only compared for equality
    since: float  # by this process's monotonic clock


class Recovery:
    """Sweeps one study for trials that no worker works on any more.

    An attempt of a process on this host is over as soon as the process is gone. Any other attempt is over when its
    latest heartbeat has not changed for the grace period while this process kept reading the database. So no two clocks
    are compared, and after an outage, or after this process itself was suspended, all workers have the whole grace
    period to renew.

    Args:
        storage: the study's database.
        study: the study.
        attempts: the attempts of the study.
        grace_s: the grace period in seconds.
        folder: the study's folder, from which the checkpoint of a trial that is given up for good is removed.
    """

    def __init__(
        self,
        storage: StudyStorage,
        study: optuna.Study,
        attempts: Attempts,
        grace_s: float,
        folder: StudyFolder,
    ) -> None:
        self._storage = storage
        self._study = study
        self._attempts = attempts
        self._grace_s = grace_s
        self._folder = folder
        self._sightings: dict[str, _Sighting] = {}
        self._swept = time.monotonic()

    def forget(self) -> None:
        """Begin every grace period anew, after the database was away and no worker could renew its attempt."""
        self._sightings.clear()

    def sweep(self) -> list[int]:
        """Queue every trial again whose worker is gone, and return the numbers of the rows that were ended."""
        before = self._swept
        self._swept = time.monotonic()
        # After a long pause this process was suspended, and perhaps the workers on its host too.
        if self._swept - before > self._grace_s / 2:
            self.forget()
        rows = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        running = [row.number for row in rows]
        lost: list[int] = []
        left: list[Attempt] = []
        # Attempts must be read after the rows, as `orphans` explains.
        for attempt in self._attempts.open_attempts():
            why = self._why_over(attempt)
            if why is None:
                left.append(attempt)
                continue
            number = attempt.trial_number
            message = f"{why}; its worker was {attempt.owner}"
            if number is not None and self.give_up(number, message):
                lost.append(number)
            self._attempts.release(attempt.attempt_id)
        for number in orphans(running, left):
            if self.give_up(number, "no worker has it"):
                lost.append(number)
        # Forget the sightings of attempts that have ended.
        still_open = {attempt.attempt_id for attempt in left}
        for attempt_id in self._sightings.keys() - still_open:
            del self._sightings[attempt_id]
        return lost

    def give_up(self, number: int, message: str) -> bool:
        """End a lost trial and queue it again, unless `MAX_RETRIES` retries in a row brought no progress.

        A trial that is not queued again ends as an error, and its checkpoint is removed.

        Args:
            number: the number of the trial's row.
            message: why its worker counts as gone, for the row and the log.

        Returns:
            False where the trial was not running any more; then nothing is changed.
        """
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        # Read anew, for its worker may have reported or finished after the sweep read the rows.
        trial = self._storage.get_trial(trial_id)
        if trial.state != TrialState.RUNNING:
            return False
        record = TrialRecord(trial)
        # An epoch beyond all earlier attempts is progress, after which the retries are counted from the start.
        done = max(trial.intermediate_values, default=0)
        reached_before = record.get(TrialRecord.reached, 0)
        has_progressed = done > reached_before
        retries = 1 if has_progressed else record.get(TrialRecord.retries, 0) + 1
        reached = max(done, reached_before)
        next_row: FrozenTrial | None = continuation(trial, retries=retries, reached=reached)
        # Whether it is queued again
        reason = EndReason.LOST
        if not _has_parameters(trial):
            next_row = None  # there is nothing to train again
        elif retries > MAX_RETRIES:
            next_row = None
            reason = EndReason.ERROR
            message = f"lost {retries} times in a row without progress: {message}"
        ended = attributes(reason=reason, message=message)
        was_running = self._storage.give_away(self._study_id, number, ended, next_row)
        if was_running:
            log.warning("trial=%d reason=%s %s", number, reason, message)
            if next_row is None:
                remove(self._folder.trial(root_number(trial)).checkpoint)
        return was_running

    @property
    def _study_id(self) -> int:
        return self._storage.get_study_id_from_name(self._study.study_name)

    def _why_over(self, attempt: Attempt) -> str | None:
        """Return why an attempt counts as over, in words; None where its process may still be at work."""
        if attempt.owner.is_gone():
            return "its process is gone"
        now = time.monotonic()
        seen = self._sightings.get(attempt.attempt_id)
        if seen is None or seen.renewed != attempt.renewed:
            self._sightings[attempt.attempt_id] = _Sighting(attempt.renewed, now)
        elif now - seen.since > self._grace_s:
            return f"nothing was heard of it for {now - seen.since:.0f} s"
        return None


def _has_parameters(trial: FrozenTrial) -> bool:
    """Return whether a row has parameters: its own, those that it was enqueued with, or those of a run."""
    is_enqueued = "fixed_params" in trial.system_attrs
    return bool(trial.params) or is_enqueued or TrialRecord.given in TrialRecord(trial)


def orphans(running: list[int], attempts: list[Attempt]) -> list[int]:
    """Return the numbers of running rows that belong to no open attempt.

    A worker creates a row between the claim of its attempt and the link of the two. A row without an attempt may
    therefore belong to any attempt that has no row yet, and only where there is none of those is it an orphan. The rows
    must have been read before the attempts: if a row's attempt ended in between, the row has ended too, and
    `Recovery.give_up` leaves it alone.

    Args:
        running: the numbers of the running rows.
        attempts: the open attempts, read after the rows.
    """
    held = {attempt.trial_number for attempt in attempts}
    if None in held:
        return []
    return [number for number in running if number not in held]
