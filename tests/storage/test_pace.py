"""How long a study still takes, told from its rows: simulated studies, of which the truth is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from blade_tune.storage.attempts import Attempt
from blade_tune.storage.pace import Pace, Work, find_pace
from blade_tune.storage.process import Owner
from blade_tune.storage.spending import UNLIMITED, Limit
from blade_tune.storage.trial_record import EndReason, attributes

START = datetime(2026, 12, 1)
OWNER = Owner("host", 1, 1.0)
MAX_EPOCHS = 10


@dataclass(frozen=True)
class Simulated:
    """A study whose workers train one trial after the other, each of a known length."""

    lengths: Sequence[float]  # seconds of each trial
    num_workers: int

    def starts(self) -> list[float]:
        """The second at which each trial starts: when the first worker is free."""
        free = [0.0] * self.num_workers
        starts = []
        for length in self.lengths:
            worker = free.index(min(free))
            starts.append(free[worker])
            free[worker] += length
        return starts

    def ends(self) -> list[float]:
        return [start + length for start, length in zip(self.starts(), self.lengths, strict=True)]

    def left(self, now: float) -> float:
        return max(self.ends()) - now

    def pace(self, now: float, limit: Limit | None = None) -> Pace | None:
        """What is told at a moment; a trial of length s reports each of its 10 epochs when s/10 more have passed."""
        rows, attempts = [], []
        for number, (start, end) in enumerate(zip(self.starts(), self.ends(), strict=True)):
            if start > now:
                break
            rows.append(row(number, start, end, now))
            if end > now:
                attempts.append(Attempt(str(number), number, OWNER, "cpu", start, now))
        budget = UNLIMITED if limit else len(self.lengths)
        return find_pace(rows, Work(attempts, self.num_workers, now), MAX_EPOCHS, budget, limit)


def row(number: int, start: float, end: float, now: float, **given: object) -> FrozenTrial:
    """The row of a trial at a moment."""
    epoch_s = (end - start) / MAX_EPOCHS
    num_epochs = min(MAX_EPOCHS, int((now - start) / epoch_s + 1e-9))
    clock = [(epoch, epoch * epoch_s, epoch * epoch_s) for epoch in range(1, num_epochs + 1)]
    is_ended = end <= now
    trial = create_trial(
        state=TrialState.COMPLETE if is_ended else TrialState.RUNNING,
        value=0.5 if is_ended else None,
        intermediate_values={epoch: 0.5 for epoch, _, _ in clock},
        user_attrs=attributes(clock=clock, seconds=min(end, now) - start, **given),
    )
    trial.number = number
    trial.datetime_start = START + timedelta(seconds=start)
    trial.datetime_complete = START + timedelta(seconds=end) if is_ended else None
    return trial


@pytest.mark.parametrize("num_workers", [1, 2, 3, 7])
def test_trials_of_one_length_are_told_to_the_trial(num_workers: int):
    """From the first epoch on, the time that is left is wrong by a trial at most."""
    study = Simulated([40.0] * 21, num_workers)
    for now in range(5, int(max(study.ends())), 3):
        found = study.pace(now)
        assert found
        assert abs(found.left_s - study.left(now)) <= 40
        assert found.per_hour == pytest.approx(num_workers * 90)
        assert found.is_bound == (now < 40)


@pytest.mark.parametrize("seed", range(5))
def test_trials_of_many_lengths_are_told_on_average(seed: int):
    """Half way through a long study the time that is left is wrong by a sixth at most."""
    lengths = np.random.default_rng(seed).choice([10.0, 20.0, 60.0], 300)
    study = Simulated(list(map(float, lengths)), 4)
    now = max(study.ends()) / 2
    found = study.pace(now)
    assert found
    assert found.left_s == pytest.approx(study.left(now), rel=1 / 6)


def test_nothing_is_told_before_the_first_epoch_or_where_nobody_works():
    """A time from nothing would be a guess."""
    assert Simulated([40.0] * 3, 1).pace(3) is None
    rows = [row(0, 0.0, 10.0, 20.0)]
    assert find_pace(rows, Work([], 0, 20.0), MAX_EPOCHS, 3, None) is None


def test_a_limit_of_hours_is_told_by_what_was_spent():
    """Two workers spend twice as fast."""
    limit = Limit("hours", 0.5)
    study = Simulated([45.0] * 100, 2)
    found = study.pace(200, limit)
    assert found
    assert found.left_s == pytest.approx(0.5 * 3600 / 2 - 200)


def test_failed_trials_cost_time_too():
    """A rate counts scored trials, and the time of those that failed is part of what each costs."""
    rows = [row(0, 0.0, 10.0, 40.0), row(1, 10.0, 40.0, 40.0)]
    rows[1].state, rows[1].value = TrialState.FAIL, None
    found = find_pace(rows, Work([], 1, 40.0), MAX_EPOCHS, 3, None)
    assert found == Pace(3600 / 40, 80.0, is_bound=False)


def test_a_continued_trial_is_one():
    """The rows of a trial that was interrupted are as long together as one that was not, and the gap is nobody's."""
    first = row(0, 0.0, 100.0, 60.0, reason=EndReason.INTERRUPTED)
    first.state, first.datetime_complete = TrialState.FAIL, START + timedelta(seconds=60)
    second = row(1, 1000.0, 1040.0, 1040.0, root=0)
    found = find_pace([first, second], Work([], 1, 1040.0), MAX_EPOCHS, 2, None)
    assert found == Pace(36.0, 100.0, is_bound=False)


def test_a_clock_that_is_newer_than_the_reports_is_no_error():
    """A worker stores the time of an evaluation before its figure: then no epoch counts as done yet."""
    trial = row(0, 0.0, 100.0, 10.0)
    trial.intermediate_values = {}
    attempts = [Attempt("a", 0, OWNER, "cpu", 0.0, 10.0)]
    assert find_pace([trial], Work(attempts, 1, 10.0), MAX_EPOCHS, 1, None) == Pace(
        36.0, 100.0, is_bound=True
    )


def test_an_attempt_that_is_newer_than_the_rows_is_no_error():
    """Rows and attempts are two readings of a database that others write."""
    attempts = [Attempt("a", 5, OWNER, "cpu", 0.0, 20.0)]
    found = find_pace([row(0, 0.0, 10.0, 20.0)], Work(attempts, 1, 20.0), MAX_EPOCHS, 2, None)
    assert found
    assert found.left_s == 10.0
