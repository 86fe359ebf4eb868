"""Trials whose worker is gone, on SQLite and PostgreSQL: found without comparing clocks, given away once, continued."""

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import Trial, TrialState

from blade_tune.storage import recovery
from blade_tune.storage.attempts import Attempts, Claimant
from blade_tune.storage.connect import open_storage, resolve_url
from blade_tune.storage.folder import StudyFolder
from blade_tune.storage.process import Owner, this_host
from blade_tune.storage.recovery import MAX_RETRIES, Recovery
from blade_tune.storage.trial_record import ATTRIBUTES
from blade_tune.training.epoch_record import EpochRecord
from tests.tiny import Watch, rows, run, stored

HERE = Owner.here()
ELSEWHERE = Owner("elsewhere", 1, 0.0)
GRACE_S = 8.0


@pytest.fixture(scope="module")
def gone() -> Owner:
    """A process of this host that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        owner = Owner.of(process.pid)
        assert not owner.is_gone()
    return owner


class Ward:
    """A study, who works on it, and who looks after them by a clock that a test sets."""

    def __init__(self, url: str, clock: "Clock | None" = None) -> None:
        storage = open_storage(resolve_url(url, Path()), create=True)
        Attempts.create_table(storage)
        self.study = optuna.create_study(
            study_name="s", storage=storage, direction="maximize", load_if_exists=True
        )
        self.budget = Attempts(storage, storage.get_study_id_from_name("s"))
        self.recovery = Recovery(
            storage, self.study, self.budget, GRACE_S, StudyFolder(Path(), "s")
        )
        self.clock = clock

    def begin(self, owner: Owner) -> tuple[Trial, str]:
        """A trial with a parameter, and its attempt."""
        attempt = self.budget.claim(99, Claimant(owner, "cpu", 1.0))
        trial = self.study.ask()
        self.budget.link(attempt, trial.number)
        trial.suggest_float("x", 0.0, 1.0)
        return trial, attempt

    def watch(self, seconds: float) -> list[int]:
        """Sweep every second for so long; gives what was lost."""
        lost = []
        for _ in range(int(seconds)):
            self.clock.now += 1.0
            lost += self.recovery.sweep()
        return lost

    @property
    def rows(self) -> list[tuple[str, str]]:
        return [
            (trial.state.name, trial.user_attrs.get("reason", "")) for trial in self.study.trials
        ]


class Clock:
    """Stands still unless it is told."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def ward(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Ward:
    clock = Clock()
    monkeypatch.setattr(recovery, "time", clock)
    return Ward(database_url, clock)


# Who is gone


def test_a_process_of_this_host_that_ended_loses_its_trial_at_once(ward, gone):
    """Its trial is queued again with the same parameters under the same root, and its slot is free."""
    trial, _ = ward.begin(gone)
    ward.begin(HERE)
    assert ward.recovery.sweep() == [trial.number]
    assert ward.rows == [("FAIL", "lost"), ("RUNNING", ""), ("WAITING", "")]
    assert ward.study.trials[2].params == trial.params
    assert ward.study.trials[2].user_attrs["root"] == trial.number
    assert [attempt.owner.pid for attempt in ward.budget.open_attempts()] == [HERE.pid]
    assert ward.recovery.sweep() == []


def test_a_process_is_known_by_its_start(gone):
    """Another process under the same id, and one of another host, are not taken for it."""
    assert Owner(this_host(), HERE.pid, HERE.started - 60.0).is_gone()
    assert not Owner(this_host(), HERE.pid, HERE.started + 0.4).is_gone()
    assert not Owner("elsewhere", gone.pid, gone.started).is_gone()
    assert Owner.parse(str(HERE)) == Owner(HERE.host, HERE.pid, round(HERE.started, 2))


def test_a_zombie_is_gone():
    """A process that ended and was not waited for works no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    owner = Owner.of(process.pid)
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        pass
    assert owner.is_gone()
    process.wait()


def test_a_silent_worker_elsewhere_loses_its_trial_after_the_grace_period(ward):
    """Not before, however old its latest renewal is by whatever clock; one that renews keeps its trial for ever."""
    silent, _ = ward.begin(ELSEWHERE)
    busy, attempt = ward.begin(ELSEWHERE)
    lost = []
    for _ in range(3):
        lost += ward.watch(GRACE_S / 2)
        ward.budget.renew(attempt)
    assert lost == [silent.number]
    assert ward.watch(GRACE_S / 2) == []
    assert ward.watch(GRACE_S) == [busy.number]


def test_an_outage_takes_nobody_a_trial(ward):
    """What was seen before it says nothing: after it, everybody has the whole grace period to renew."""
    trial, _ = ward.begin(ELSEWHERE)
    for _ in range(3):
        assert ward.watch(GRACE_S - 1) == []
        ward.recovery.forget()
    assert ward.watch(GRACE_S + 2) == [trial.number]


def test_who_was_stopped_itself_takes_nobody_a_trial(ward):
    """A supervisor that a scheduler suspended together with its workers does not hold the pause against them."""
    ward.begin(ELSEWHERE)
    for _ in range(3):
        assert ward.watch(2) == []
        ward.clock.now += 10 * GRACE_S
    assert ward.recovery.sweep() == []


def test_a_running_trial_that_nobody_has_is_continued(ward):
    """It was asked for by a process that died before it said so; while somebody may be about to say so, it waits."""
    trial = ward.study.ask()
    trial.suggest_float("x", 0.0, 1.0)
    attempt = ward.budget.claim(99, Claimant(HERE, "cpu", 1.0))
    assert ward.recovery.sweep() == []
    ward.budget.release(attempt)
    assert ward.recovery.sweep() == [trial.number]


# What goes on


def test_a_continuation_knows_what_its_trial_was(ward, gone):
    """Tags and whatever else the trial was given go over to it, but not what belongs to one attempt."""
    trial, _ = ward.begin(gone)
    for name in ATTRIBUTES:
        trial.set_user_attr(name, 1)
    ward.recovery.sweep()
    attrs = ward.study.trials[1].user_attrs
    own = {"reason", "message", "seed", "epochs", "clock", "files", "moves"}
    assert attrs == dict.fromkeys(ATTRIBUTES.keys() - own, 1) | {
        "root": 1,
        "retries": 2,
        "reached": 1,
    }


def test_a_trial_is_tried_again_while_it_makes_progress(ward, gone):
    """It may be lost for ever as long as each attempt gets further; five retries that do not are its last."""
    for reached in range(1, 2 * MAX_RETRIES):
        trial, _ = ward.begin(gone)
        trial.report(0.5, reached)
        ward.recovery.sweep()
        assert ward.study.trials[-1].user_attrs["retries"] == 1
    for _ in range(MAX_RETRIES):
        assert ward.study.trials[-1].state == TrialState.WAITING
        ward.begin(gone)
        ward.recovery.sweep()
    assert ward.rows[-1] == ("FAIL", "error")
    assert (
        f"lost {MAX_RETRIES + 1} times in a row without progress"
        in ward.study.trials[-1].user_attrs["message"]
    )
    assert {ward.study.trials[0].params["x"]} == {trial.params["x"] for trial in ward.study.trials}


def test_an_enqueued_trial_that_was_lost_at_once_keeps_its_parameters(ward, gone):
    """Lost before it took them, it is queued with them again."""
    ward.study.enqueue_trial({"x": 0.25}, user_attrs={"tag": "mine"})
    attempt = ward.budget.claim(99, Claimant(gone, "cpu", 1.0))
    ward.budget.link(attempt, ward.study.ask().number)
    ward.recovery.sweep()
    trial, _ = ward.begin(HERE)
    assert (trial.number, trial.params, trial.user_attrs["tag"]) == (1, {"x": 0.25}, "mine")


def test_a_trial_that_was_lost_before_anything_is_not_continued(ward, gone):
    """Without parameters there is nothing to go on with: another takes its slot."""
    attempt = ward.budget.claim(99, Claimant(gone, "cpu", 1.0))
    ward.budget.link(attempt, ward.study.ask().number)
    ward.recovery.sweep()
    assert ward.rows == [("FAIL", "lost")]
    assert ward.budget.claim(1, Claimant(HERE, "cpu", 1.0)) is not None


# Who is late


def sweep(_: int, url: str) -> list[int]:
    return Ward(url).recovery.sweep()


def test_a_lost_trial_is_given_away_once(ward, gone, database_url, crowd):
    """Of eight processes that sweep at once, one gives a trial away, and there is one continuation."""
    for _ in range(10):
        ward.begin(gone)
    assert sorted(itertools.chain(*crowd.run(sweep, database_url))) == list(range(10))
    assert sorted(trial.user_attrs["root"] for trial in ward.study.trials[10:]) == list(range(10))


def test_a_late_worker_can_add_nothing(ward):
    """Once a trial was given away, neither a report nor a result of its worker is stored."""
    trial, _ = ward.begin(ELSEWHERE)
    ward.watch(GRACE_S + 2)
    with pytest.raises(UpdateFinishedTrialError):
        trial.report(0.5, 1)
    with pytest.raises(ValueError, match="Cannot tell a FAIL trial"):
        ward.study.tell(trial, 0.5)
    assert ward.rows == [("FAIL", "lost"), ("WAITING", "")]


class Thief(Watch):
    """Gives a trial away while its worker is at an epoch, as another process does with one that was silent."""

    def __init__(self, results: Path, epoch: int) -> None:
        super().__init__()
        self._results = results
        self._epoch = epoch
        self.lost: list[int] = []

    def epoch_ended(self, number: int, record: EpochRecord) -> None:
        super().epoch_ended(number, record)
        if (number, record.epoch) == (0, self._epoch):
            study = stored(self._results)
            (attempt,) = study.attempts.open_attempts()
            Recovery(study.storage, study.study, study.attempts, GRACE_S, study.folder).give_up(
                0, "stolen"
            )
            study.attempts.release(attempt.attempt_id)

    def trial_lost(self, number: int) -> None:
        self.lost.append(number)


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_late_worker_goes_on(tmp_path: Path, epoch: int, caplog: Any):
    """Its callback hears that the trial is lost, in its last epoch too; it may go on with that trial itself."""
    thief = Thief(tmp_path, epoch)
    run(tmp_path, thief, search__trials=2, train__max_epochs=3)
    assert rows(tmp_path) == [("FAIL", "lost"), ("COMPLETE", ""), ("COMPLETE", "")]
    assert thief.lost == [0]
    assert sorted(stored(tmp_path).trials[1].intermediate_values) == [1, 2, 3]
    assert stored(tmp_path).trials[1].user_attrs["root"] == 0
    assert "trial=0 was given to another worker; its result is dropped" in caplog.text


def test_what_a_worker_stored_last_goes_over(
    database_url: str, gone: Owner, monkeypatch: pytest.MonkeyPatch
):
    """Parameters that came between a sweep's look at the rows and its worker's end are in the row that goes on."""
    ward = Ward(database_url)
    attempt = ward.budget.claim(99, Claimant(gone, "cpu", 1.0))
    trial = ward.study.ask()
    ward.budget.link(attempt, trial.number)
    look = ward.budget.open_attempts

    def later() -> Any:
        monkeypatch.undo()
        trial.suggest_float("x", 0.0, 1.0)
        return look()

    monkeypatch.setattr(ward.budget, "open_attempts", later)
    assert ward.recovery.sweep() == [0]
    assert ward.rows == [("FAIL", "lost"), ("WAITING", "")]
    assert ward.study.trials[1].params == trial.params != {}
