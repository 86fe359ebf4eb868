"""The slots of a study: claimed one by one by any number of processes, on SQLite and PostgreSQL."""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import ColumnElement, event, select, update
from sqlalchemy.exc import OperationalError

from blade_tune.errors import LeaseLostError
from blade_tune.storage.attempts import ATTEMPTS, BETWEEN_S, Attempts, Claimant
from blade_tune.storage.connect import open_storage, resolve_url
from blade_tune.storage.lease import Lease
from blade_tune.storage.optuna_storage import StudyStorage
from blade_tune.storage.process import Owner

HERE = Claimant(Owner.here(), "cpu", 1.0)
SLOTS = 20
BUSY = OperationalError("", {}, sqlite3.OperationalError("database is locked"))
BUSY.orig.sqlite_errorcode = sqlite3.SQLITE_BUSY


class Slots:
    """A study with its budget."""

    def __init__(self, url: str, name: str = "s") -> None:
        self.storage: StudyStorage = open_storage(
            resolve_url(url, Path()), create=True, outage_s=60
        )
        Attempts.create_table(self.storage)
        if name not in optuna.get_all_study_names(self.storage):
            optuna.create_study(study_name=name, storage=self.storage, direction="maximize")
        self.study = optuna.load_study(study_name=name, storage=self.storage)
        self.budget = Attempts(self.storage, self.storage.get_study_id_from_name(name))

    def claim(self, total: int = 1) -> str | None:
        return self.budget.claim(total, HERE)

    def begin(self, total: int = 1) -> tuple[str, optuna.Trial]:
        """An attempt with a trial."""
        attempt = self.claim(total)
        assert attempt is not None
        trial = self.study.ask()
        assert self.budget.link(attempt, trial.number)
        return attempt, trial


@pytest.fixture
def slots(database_url: str) -> Slots:
    return Slots(database_url)


# Many processes


def claim_all(_: int, url: str) -> int:
    slots, claimed = Slots(url), 0
    while slots.claim(SLOTS) is not None:
        claimed += 1
    return claimed


def test_slots_are_claimed_exactly(slots, database_url, crowd):
    """Eight processes that claim at once get exactly as many slots as there are, together."""
    assert sum(crowd.run(claim_all, database_url)) == SLOTS
    assert len({attempt.attempt_id for attempt in slots.budget.open_attempts()}) == SLOTS


def run_all(index: int, url: str) -> None:
    slots = Slots(url)
    for turn in range(index, 1000):
        attempt = slots.claim(SLOTS)
        if attempt is None:
            return
        trial = slots.study.ask()
        slots.budget.link(attempt, trial.number)
        END[list(END)[turn % len(END)]](trial)
        slots.budget.release(attempt)


def test_a_budget_is_met_and_never_overshot(slots, database_url, crowd):
    """Trials that end in all ways, in eight processes, leave exactly as many scored ones as were asked for."""
    crowd.run(run_all, database_url)
    states = Counter(trial.state for trial in slots.study.trials)
    reported = [
        trial
        for trial in slots.study.trials
        if trial.state == TrialState.PRUNED and trial.intermediate_values
    ]
    assert states[TrialState.COMPLETE] + len(reported) == SLOTS
    assert slots.budget.open_attempts() == []


# What fills a slot


def complete(trial: optuna.Trial) -> None:
    trial.study.tell(trial, 0.5)


def prune_after_a_report(trial: optuna.Trial) -> None:
    trial.report(0.5, 1)
    trial.study.tell(trial, state=TrialState.PRUNED)


def prune(trial: optuna.Trial) -> None:
    trial.study.tell(trial, state=TrialState.PRUNED)


def fail(trial: optuna.Trial) -> None:
    trial.study.tell(trial, state=TrialState.FAIL)


END: dict[str, Callable[[optuna.Trial], None]] = {
    "complete": complete,
    "pruned after a report": prune_after_a_report,
    "pruned": prune,
    "failed": fail,
}


def test_an_attempt_holds_its_slot_until_it_ends(slots):
    """From the claim on, with and without a trial, nobody else has the slot; released, it is free."""
    attempt = slots.claim()
    assert slots.claim() is None
    trial = slots.study.ask()
    slots.budget.link(attempt, trial.number)
    assert slots.claim() is None
    slots.budget.release(attempt)
    assert slots.claim() is not None


@pytest.mark.parametrize("ends", END)
def test_a_scored_trial_keeps_its_slot(slots, ends):
    """Complete, or pruned after a report: the slot is used. Any other end frees it, before the attempt is released."""
    _, trial = slots.begin()
    END[ends](trial)
    assert (slots.claim() is None) == (ends in ("complete", "pruned after a report"))


def test_a_study_has_its_own_slots(slots, database_url):
    """What other studies of the database run and ran counts for them; forgetting a study's attempts leaves theirs."""
    other = Slots(database_url, "other")
    slots.begin()
    complete(slots.study.ask())
    assert other.claim() is not None
    other.budget.clear()
    assert other.budget.open_attempts() == []
    assert len(slots.budget.open_attempts()) == 1


# Leases


def test_an_attempt_that_was_taken_away_cannot_be_used(slots):
    """Released by somebody else, it is neither linked nor renewed, and its owner is told so."""
    attempt = slots.claim()
    assert slots.budget.renew(attempt)
    slots.budget.release(attempt)
    assert not slots.budget.renew(attempt)
    assert not slots.budget.link(attempt, 0)
    slots.budget.release(attempt)


def test_an_attempt_says_who_and_when(slots):
    """It has its owner, device, trial, and the times of its claim and its latest renewal by the database's clock."""
    before = slots.budget.now()
    attempt, trial = slots.begin()
    slots.budget.renew(attempt)
    after = slots.budget.now()
    (stored,) = slots.budget.open_attempts()
    assert (stored.attempt_id, stored.trial_number, stored.device) == (attempt, trial.number, "cpu")
    assert str(stored.owner) == str(HERE.owner)
    assert not stored.owner.is_gone()
    assert before <= stored.claimed < stored.renewed <= after
    assert abs(after - time.time()) < 5.0


def test_gpu_time_is_what_attempts_held_of_gpus(slots):
    """From claim to latest renewal, times the share of the device, released or not; CPU time is none of it."""
    for device, share, seconds in (
        ("cuda", 0.5, 100.0),
        ("cuda:1", 1.0, 10.0),
        ("cpu", 1.0, 1000.0),
    ):
        attempt = slots.budget.claim(9, Claimant(Owner.here(), device, share))
        slots.budget.release(attempt)
        times = (
            update(ATTEMPTS)
            .where(ATTEMPTS.c.attempt_id == attempt)
            .values(renewed=ATTEMPTS.c.claimed + seconds)
        )
        with slots.storage.engine.begin() as connection:
            connection.execute(times)
    assert slots.budget.gpu_seconds() == pytest.approx(60.0)


@pytest.mark.parametrize("step_s", [7200.0, -7200.0])
def test_a_clock_that_is_set_charges_nothing(slots, step_s):
    """Forward or back: an attempt costs what the time took, and says that it was heard of just now."""
    attempt = slots.budget.claim(9, Claimant(Owner.here(), "cuda", 1.0))
    # As if it were claimed by a clock that was set since
    with slots.storage.engine.begin() as connection:
        connection.execute(
            update(ATTEMPTS).values(claimed=ATTEMPTS.c.claimed - step_s, renewed=0.0)
        )
    for change in (slots.budget.renew, slots.budget.release):
        change(attempt)
        assert 0.0 <= slots.budget.gpu_seconds() < 60.0
    with slots.storage.engine.begin() as connection:
        assert slots.budget.now() - connection.scalar(select(ATTEMPTS.c.renewed)) < 60.0


def test_a_lost_attempt_costs_what_it_is_known_to_have_run(slots):
    """Whoever finds it, days later say, does not charge the days."""
    attempt = slots.budget.claim(9, Claimant(Owner.here(), "cuda", 1.0))
    with slots.storage.engine.begin() as connection:
        connection.execute(
            update(ATTEMPTS).values(
                claimed=ATTEMPTS.c.claimed - 9e4, renewed=ATTEMPTS.c.claimed - 9e4 + 50
            )
        )
    finder = Attempts(slots.storage, slots.storage.get_study_id_from_name("s"))
    finder.release(attempt)
    assert finder.gpu_seconds() == pytest.approx(50.0)
    assert finder.open_attempts() == []


def test_a_database_without_attempts_has_none(database_url):
    """A study that an earlier version ran can be looked at."""
    storage = open_storage(resolve_url(database_url, Path()), create=True)
    budget = Attempts(storage, 1)
    assert budget.open_attempts() == []
    assert budget.gpu_seconds() == 0.0


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def renewed(slots: Slots) -> float:
    (attempt,) = slots.budget.open_attempts()
    return attempt.renewed


def test_a_lease_is_renewed_while_it_is_held(slots, monkeypatch):
    """From a thread of its own, through an outage too; at the end of the block the slot is free."""
    renew, outage = slots.budget.renew, iter([BUSY, BUSY])

    def renew_or_fail(attempt: str) -> bool:
        if error := next(outage, None):
            raise error
        return renew(attempt)

    monkeypatch.setattr(slots.budget, "renew", renew_or_fail)
    with Lease(slots.budget, slots.claim(), heartbeat_s=0.02) as lease:
        lease.link(0)
        before = renewed(slots)
        until(lambda: renewed(slots) > before)
        lease.check()
    assert slots.claim() is not None


@pytest.mark.parametrize("heartbeat_s", [0.02, 0.2])
def test_a_lease_that_was_taken_away_says_so(slots, heartbeat_s):
    """Where the heartbeat was told, and where none came since, for a process that was stopped and goes on."""
    attempt = slots.claim()
    with Lease(slots.budget, attempt, heartbeat_s) as lease:
        slots.budget.release(attempt)
        time.sleep(2 * heartbeat_s)
        with pytest.raises(LeaseLostError):
            lease.check()
        with pytest.raises(LeaseLostError):
            lease.link(0)


# Outages


def lose_answer(storage: StudyStorage) -> None:
    """Let the answer to the next commit be lost, after it was made."""

    def commit_and_fail(connection: Any) -> None:
        event.remove(storage.engine, "commit", commit_and_fail)
        connection.connection.dbapi_connection.commit()
        raise BUSY

    event.listen(storage.engine, "commit", commit_and_fail)


def test_a_claim_whose_answer_was_lost_is_one_slot(slots):
    """Made again, it finds itself; so do a link and a release."""
    lose_answer(slots.storage)
    attempt = slots.claim(9)
    assert [each.attempt_id for each in slots.budget.open_attempts()] == [attempt]
    lose_answer(slots.storage)
    assert slots.budget.link(attempt, 0)
    lose_answer(slots.storage)
    slots.budget.release(attempt)
    assert slots.budget.open_attempts() == []


def test_a_renewal_does_not_wait(slots):
    """A heartbeat that meets an outage fails at once: the next one comes soon, and the worker must be able to end."""
    attempt = slots.claim()
    lose_answer(slots.storage)
    with pytest.raises(OperationalError):
        slots.budget.renew(attempt)
    assert slots.budget.renew(attempt)


def test_workers_are_processes_that_live(slots):
    """One that is between two trials counts for a while, and once; one that is silent for long, or gone, does not."""
    assert slots.budget.num_workers(60) == 0
    first, _ = slots.begin(2)
    slots.begin(2)
    assert slots.budget.num_workers(60) == 1
    slots.budget.release(first)
    assert slots.budget.num_workers(60) == 1
    elsewhere = Owner("another host", 1, 1.0)
    assert slots.budget.claim(3, Claimant(elsewhere, "cpu", 1.0))
    assert slots.budget.num_workers(60) == 2
    age(slots, ATTEMPTS.c.released, 2 * BETWEEN_S)
    age(slots, ~ATTEMPTS.c.released, 59)
    assert slots.budget.num_workers(60) == 2
    age(slots, ~ATTEMPTS.c.released, 61)
    assert slots.budget.num_workers(60) == 0


def age(slots: Slots, which: ColumnElement[bool], seconds: float) -> None:
    """Make the latest renewal of some attempts older, by so many seconds more."""
    with slots.storage.engine.begin() as connection:
        renewed = ATTEMPTS.c.renewed - seconds
        connection.execute(update(ATTEMPTS).where(which).values(renewed=renewed))
