"""Trials whose worker is gone: found, ended as `lost`, and queued again to go on from their checkpoint."""

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

MAX_RETRIES = 5  # without progress


def continuation(trial: FrozenTrial, **attrs: Any) -> FrozenTrial:
    """The row that goes on from a trial's checkpoint with the same parameters."""
    fixed = {name: value for name, value in trial.system_attrs.items() if name == "fixed_params"}
    return optuna.create_trial(
        state=TrialState.WAITING,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs={**TrialRecord(trial).inherited, **attributes(root=root_number(trial), **attrs)},
        system_attrs=fixed,  # of an enqueued trial that was lost before it took them
    )


@dataclass
class _Sighting:
    """When an attempt's latest renewal was first seen, by this process's own clock."""

    renewed: float
    since: float


class Recovery:
    """Sweeps one study for trials that nobody works on any more.

    An attempt is over at once where its process was of this host and is gone. Elsewhere it is over when its renewal has
    not changed for the grace period while this process read the database all along: no two clocks are compared, and
    after an outage, or where this process was stopped itself, everybody has the whole period to renew.

    Args:
        storage: the study's database.
        study: the study.
        attempts: of the study.
        grace_s: see above.
        folder: of the study, where the checkpoint of a trial that is given up for good is removed.
    """

    def __init__(
        self, storage: StudyStorage, study: optuna.Study, attempts: Attempts, grace_s: float, folder: StudyFolder
    ) -> None:
        self._storage = storage
        self._study = study
        self._attempts = attempts
        self._grace_s = grace_s
        self._folder = folder
        self._sightings: dict[str, _Sighting] = {}
        self._swept = time.monotonic()

    def forget(self) -> None:
        """The database was away: what was seen before says nothing."""
        self._sightings.clear()

    def sweep(self) -> list[int]:
        """Give away every trial whose worker is gone; gives their numbers."""
        before, self._swept = self._swept, time.monotonic()
        if self._swept - before > self._grace_s / 2:
            self.forget()  # this process was stopped meanwhile, perhaps its workers too
        running = [trial.number for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))]
        lost, left = [], []
        for attempt in self._attempts.open_attempts():  # read after the rows, see `orphans`
            why = self._why_over(attempt)
            if why is None:
                left.append(attempt)
                continue
            number = attempt.trial_number
            if number is not None and self.give_up(number, f"{why}; its worker was {attempt.owner}"):
                lost.append(number)
            self._attempts.release(attempt.attempt_id)
        lost += [number for number in orphans(running, left) if self.give_up(number, "no worker has it")]
        known = ((attempt.attempt_id, self._sightings.get(attempt.attempt_id)) for attempt in left)
        self._sightings = {attempt_id: seen for attempt_id, seen in known if seen}
        return lost

    def give_up(self, number: int, message: str) -> bool:
        """End a lost trial and queue it again, unless that did not help before; False where somebody else ended it."""
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        trial = self._storage.get_trial(trial_id)  # as its worker left it, perhaps after it was seen last
        if trial.state != TrialState.RUNNING:
            return False
        done = max(trial.intermediate_values, default=0)
        record = TrialRecord(trial)
        before = record.get(TrialRecord.reached, 0)
        retries = 1 if done > before else record.get(TrialRecord.retries, 0) + 1
        reason = EndReason.LOST
        new: FrozenTrial | None = continuation(trial, retries=retries, reached=max(done, before))
        if not trial.params and not (new and new.system_attrs) and TrialRecord.given not in record:
            new = None  # nothing is known of it that could be tried again
        elif retries > MAX_RETRIES:
            reason, message = EndReason.ERROR, f"lost {retries} times in a row without progress: {message}"
            new = None
        ended = attributes(reason=reason, message=message)
        given = self._storage.give_away(self._study_id, number, ended, new)
        if given:
            log.warning("trial=%d reason=%s %s", number, reason, message)
            if new is None:
                remove(self._folder.trial(root_number(trial)).checkpoint)
        return given

    @property
    def _study_id(self) -> int:
        return self._storage.get_study_id_from_name(self._study.study_name)

    def _why_over(self, attempt: Attempt) -> str | None:
        if attempt.owner.is_gone():
            return "its process is gone"
        now = time.monotonic()
        seen = self._sightings.get(attempt.attempt_id)
        if seen is None or seen.renewed != attempt.renewed:
            self._sightings[attempt.attempt_id] = _Sighting(attempt.renewed, now)
        elif now - seen.since > self._grace_s:
            return f"nothing was heard of it for {now - seen.since:.0f} s"
        return None


def orphans(running: list[int], attempts: list[Attempt]) -> list[int]:
    """Running rows that no attempt has.

    A row is asked for between an attempt's claim and its link, so one without an attempt is nobody's when no attempt
    without a row is open. If its attempt ended between the two readings, so did the row, and it is not given away.
    """
    held = {attempt.trial_number for attempt in attempts}
    return [] if None in held else [number for number in running if number not in held]
