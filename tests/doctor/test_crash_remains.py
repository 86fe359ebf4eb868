"""What crashes leave behind: found, continued, freed or removed."""

import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from blade_tune.doctor import crash_remains as leftovers
from blade_tune.storage.process import Owner
from blade_tune.study.stored import StoredStudy
from blade_tune.training.checkpoint import save_checkpoint
from tests import tiny
from tests.doctor.examined import ELSEWHERE, about, examine, hold, silence, train, tree

# What crashes leave


def test_a_killed_worker_is_found_and_its_trial_queued(stored, results, killed):
    """Looking changes nothing; fixing ends the trial as lost, queues its continuation and frees the slot, at once."""
    number = train(stored, killed)
    ((state, what),) = about("study tiny", examine(results))
    assert (state, f"trial {number} is held by" in what, "is gone" in what) == (
        "warning",
        True,
        True,
    )
    assert stored.trials[-1].state == TrialState.RUNNING

    freed, given, _ = about("study tiny", examine(results, fix=pytest.fail))
    assert freed == ("ok", "fixed: slots of lost workers, freed: 1")
    assert given == ("ok", f"fixed: trials of lost workers, given away: {number}")
    assert tiny.rows(results)[-2:] == [("FAIL", "lost"), ("WAITING", "")]
    assert stored.attempts.open_attempts() == []


def test_a_slot_without_a_trial_is_freed(stored, results, killed):
    """A worker that was killed before it asked for a trial holds a slot of the budget."""
    hold(stored, killed)
    assert "a slot is held by" in about("study tiny", examine(results))[0][1]
    examine(results, fix=pytest.fail)
    assert (stored.attempts.open_attempts(), len(stored.trials)) == ([], 3)


def test_a_silent_worker_elsewhere_is_watched_for_the_grace_period(stored, results):
    """It says that it watches, waits for the whole period, and then gives the trial away."""
    number = train(stored, ELSEWHERE)
    silence(stored)
    assert "is silent for more than 1 s" in about("study tiny", examine(results, grace_s=1.0))[0][1]
    told: list[str] = []
    start = time.monotonic()
    findings = examine(results, grace_s=1.0, fix=told.append)
    assert time.monotonic() - start > 1.0
    assert told == ["study tiny: silent workers, now watched for 1 s: 1"]
    assert ("ok", f"fixed: trials of lost workers, given away: {number}") in about(
        "study tiny", findings
    )


def test_a_silent_worker_that_speaks_again_keeps_its_trial(stored, results):
    """A renewal while it is watched ends the watching; nothing is given away."""
    train(stored, ELSEWHERE)
    silence(stored)
    (attempt,) = stored.attempts.open_attempts()
    start = time.monotonic()
    examine(results, grace_s=60.0, fix=lambda _: stored.attempts.renew(attempt.attempt_id))
    assert time.monotonic() - start < 30
    assert stored.trials[-1].state == TrialState.RUNNING
    assert len(stored.attempts.open_attempts()) == 1


def test_a_living_worker_is_left_alone(stored, results):
    """Neither what it trains nor the checkpoint of that is touched."""
    number = train(stored, Owner.here())
    checkpoint = stored.folder.trial(number).checkpoint
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    assert [state for state, _ in about("study tiny", examine(results, fix=pytest.fail))] == ["ok"]
    assert (stored.trials[-1].state, checkpoint.exists()) == (TrialState.RUNNING, True)


def test_a_running_row_of_nobody_is_given_away(stored, results):
    """A row that no attempt has, unless somebody is just asking for one."""
    stored.study.ask()
    asking = hold(stored, Owner.here())
    assert [state for state, _ in about("study tiny", examine(results))] == ["ok"]
    stored.attempts.release(asking)
    assert about("study tiny", examine(results)) == [
        ("warning", "running trials that no worker has: 3")
    ]
    examine(results, fix=pytest.fail)
    assert tiny.rows(results)[3] == ("FAIL", "lost")


def test_a_continuation_without_its_checkpoint_is_a_warning(stored, results):
    """A trial that reported epochs and waits for another worker has its checkpoint in the folder of its first row."""
    first = stored.trials[0]
    stored.study.add_trial(
        optuna.create_trial(
            state=TrialState.WAITING,
            params=first.params,
            distributions=first.distributions,
            user_attrs={"root": 0},
        )
    )
    what = "trials that wait to go on, with no checkpoint in these results: 3"
    assert about("study tiny", examine(results)) == [("warning", what)]
    save_checkpoint(stored.folder.trial(0).checkpoint, {})
    assert [state for state, _ in about("study tiny", examine(results))] == ["ok"]


@pytest.fixture
def leftover(stored: StoredStudy) -> Callable[[str, float], Path]:
    """Makes a file of a name and an age in a trial's folder."""

    def make(name: str, age_s: float) -> Path:
        path = stored.folder.trial(0).path / name
        path.write_text("half")
        os.utime(path, (time.time() - age_s,) * 2)
        return path

    return make


def test_old_temporary_files_are_removed(results, leftover):
    """New ones may be being written, here or on another machine, and files of other names are somebody's."""
    old = 2 * leftovers.TEMPORARY_AGE_S
    dead = [
        leftover(f".config.yaml.{uuid.uuid4().hex}", old),
        leftover(f".checkpoint.pt.{uuid.uuid4().hex}", old),
    ]
    kept = [
        leftover(f".b.yaml.{uuid.uuid4().hex}", 0),
        leftover(".gitignore", old),
        leftover(".a.yaml.old", old),
    ]
    expected = "temporary files that nobody writes any more: 2"
    assert about("study tiny", examine(results)) == [("warning", expected)]
    assert all(path.exists() for path in dead)
    fixed = about("study tiny", examine(results, fix=pytest.fail))[0][1]
    assert fixed == "fixed: temporary files and old checkpoints, removed: 2"
    assert [path.exists() for path in (*dead, *kept)] == [False, False, True, True, True]


def test_checkpoints_of_ended_trials_are_removed(stored, results):
    """A trial that completed needs none; its weights stay."""
    stored.folder.trial(0).checkpoint.touch()
    assert about("study tiny", examine(results)) == [
        ("warning", "checkpoints of trials that have ended: 1")
    ]
    examine(results, fix=pytest.fail)
    assert not stored.folder.trial(0).checkpoint.exists()
    assert stored.folder.trial(0).weights.exists()


def test_superfluous_weights_are_only_said(results):
    """How many stay is a run's setting, which the doctor may not know: it removes none."""
    before = tree(results)
    findings = examine(results, keep=1, fix=pytest.fail)
    assert about("study tiny", findings) == [
        ("warning", "trials that have weights, and are not among the best 1: 2")
    ]
    assert tree(results) == before
