"""Promotions in the database: each once, without a slot of the budget, on SQLite and PostgreSQL."""

import threading
import time
from datetime import datetime
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from blade_tune.storage.attempts import Attempts, Claimant
from blade_tune.storage.connect import open_storage, resolve_url
from blade_tune.storage.optuna_storage import StudyStorage
from blade_tune.storage.process import Owner
from blade_tune.storage.recovery import continuation
from blade_tune.storage.trial_record import EndReason, TrialRecord
from blade_tune.storage.trials import is_promoted, num_scored

HERE = Claimant(Owner.here(), "cpu", 1.0)
PAUSED = 10


class Paused:
    """A study of so many paused trials, as one process sees it."""

    def __init__(self, url: str) -> None:
        url = resolve_url(url, Path())
        self.storage: StudyStorage = open_storage(url, create=True, outage_s=60)
        Attempts.create_table(self.storage)
        if not self.storage.get_all_studies():
            study = optuna.create_study(study_name="s", storage=self.storage, direction="maximize")
            for _ in range(PAUSED):
                pause(study.ask())
        self.study = optuna.load_study(study_name="s", storage=self.storage)
        self.study_id = self.storage.get_study_id_from_name("s")
        self.attempts = Attempts(self.storage, self.study_id)

    def promote(self, number: int) -> bool:
        row = self.study.get_trials(deepcopy=False)[number]
        return self.storage.promote(self.study_id, number, continuation(row, promoted=number))

    def promoted(self) -> list[FrozenTrial]:
        return [trial for trial in self.study.get_trials() if is_promoted(trial)]


def pause(trial: optuna.Trial) -> None:
    trial.report(0.5, 1)
    TrialRecord(trial).reason = EndReason.PAUSED
    trial.study.tell(trial, state=TrialState.PRUNED)


@pytest.fixture
def paused(database_url: str) -> Paused:
    return Paused(database_url)


def promote_all(_: int, url: str) -> int:
    paused = Paused(url)
    return sum(paused.promote(number) for number in range(PAUSED))


def test_a_trial_is_promoted_once(paused: Paused, database_url: str, crowd):
    """Eight processes that promote the same trials at once add one row each, and know whose it was."""
    assert sum(crowd.run(promote_all, database_url)) == PAUSED
    rows = paused.promoted()
    assert sorted(TrialRecord(row).promoted for row in rows) == list(range(PAUSED))
    assert all(row.state == TrialState.WAITING for row in rows)


def test_threads_of_a_process_promote_once(paused: Paused):
    """As many threads as there are promote every trial once."""
    added: list[bool] = []

    def promote() -> None:
        added.extend(paused.promote(number) for number in range(PAUSED))

    threads = [threading.Thread(target=promote) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(added) == len(paused.promoted()) == PAUSED


def take_all(_: int, url: str) -> list[int]:
    paused = Paused(url)
    numbers = [row.number for row in paused.promoted()]
    return [number for number in numbers if paused.attempts.take(number, HERE)]


def test_a_promoted_row_is_taken_once(paused: Paused, database_url: str, crowd):
    """It runs, with one attempt, in the process that got it."""
    for number in range(PAUSED):
        paused.promote(number)
    taken = [number for numbers in crowd.run(take_all, database_url) for number in numbers]
    assert sorted(taken) == [row.number for row in paused.promoted()]
    assert {row.state for row in paused.promoted()} == {TrialState.RUNNING}
    held = [attempt.trial_number for attempt in paused.attempts.open_attempts()]
    assert sorted(held) == sorted(taken)


def test_a_taken_row_starts_now(paused: Paused, monkeypatch: pytest.MonkeyPatch):
    """As Optuna says it of every row: in local time, wherever that is."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        paused.promote(0)
        (row,) = paused.promoted()
        before = datetime.now()
        paused.attempts.take(row.number, HERE)
        (row,) = paused.promoted()
        assert row.datetime_start is not None
        assert before <= row.datetime_start <= datetime.now()
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_promoted_trial_is_charged_once(paused: Paused):
    """While it waits, runs and has ended, as many slots are free as before it was promoted."""
    budget = PAUSED + 1

    def num_free() -> int:
        claimed = [paused.attempts.claim(budget, HERE) for _ in range(2)]
        held = [attempt for attempt in claimed if attempt]
        for attempt in held:
            paused.attempts.release(attempt)
        assert num_scored(paused.study.get_trials()) == PAUSED
        return len(held)

    assert num_free() == 1
    paused.promote(3)
    assert num_free() == 1
    (row,) = paused.promoted()
    attempt = paused.attempts.take(row.number, HERE)
    assert num_free() == 1
    paused.study.tell(row.number, 0.7)
    assert num_free() == 1
    paused.attempts.release(attempt)
    assert num_free() == 1


def test_a_slot_whose_trial_was_promoted_is_free_again(paused: Paused):
    """A worker that asks for a trial may get a promoted one, and then holds no slot."""
    paused.promote(0)
    attempt = paused.attempts.claim(PAUSED + 1, HERE)
    assert paused.attempts.claim(PAUSED + 1, HERE) is None
    trial = paused.study.ask()
    assert is_promoted(trial)
    paused.attempts.link(attempt, trial.number)
    assert paused.attempts.claim(PAUSED + 1, HERE)


def test_a_row_that_does_not_wait_is_not_taken(paused: Paused):
    """Nor is an attempt added."""
    assert paused.attempts.take(0, HERE) is None
    assert paused.attempts.open_attempts() == []


def test_a_row_that_goes_on_inherits_what_it_was_promoted_from(paused: Paused):
    """A promoted trial that is lost is not charged by the row that continues it either."""
    paused.promote(2)
    (row,) = paused.promoted()
    again = continuation(row)
    assert (again.user_attrs["promoted"], again.user_attrs["root"]) == (2, 2)
    assert "reason" not in again.user_attrs
