"""A trial that is stopped and killed ends as one that was left alone; a finished study is left alone."""

import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from blade_tune.storage.folder import StudyFolder
from tests.cli.program import call
from tests.faults.fleet import TIMEOUT_S, Fleet, until

EPOCHS = 6


def result(fleet: Fleet) -> dict[str, Any]:
    """All that is left of a study's only trial, but for what depends on a clock."""
    trial = fleet.stored.trials[-1]
    folder = StudyFolder(fleet.results, "tiny").trial(0)
    return {
        "params": trial.params,
        "value": trial.value,
        "curve": trial.intermediate_values,
        "metrics": {
            name: value
            for name, value in trial.user_attrs.items()
            if name.startswith(("valid.", "best"))
        },
        "weights": {name: weight.tolist() for name, weight in load_file(folder.weights).items()},
        "ranks": np.load(folder.ranks).tolist(),
    }


def in_epoch(fleet: Fleet, number: int) -> subprocess.Popen[str]:
    """Start a run and wait until its trial is in an epoch."""
    run = fleet.start(epoch_s=0.4)
    until(lambda: fleet.num_epochs() >= number - 1)
    return run


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A finished study of one trial that nothing happened to."""
    fleet = Fleet(tmp_path_factory.mktemp("left_alone"))
    fleet.define(1, EPOCHS)
    assert fleet.run() == 0
    yield fleet
    fleet.close()


@pytest.mark.slow
def test_a_stopped_and_killed_trial_is_bit_for_bit_one_that_was_left_alone(
    fleet: Fleet, left_alone: Fleet
):
    """SIGTERM in an epoch ends the run in 75; the next goes on there, through a kill -9 of its worker too.

    Parameters, curve, figures, weights and ranks are those of a run that nothing happened to.
    """
    fleet.define(1, EPOCHS)
    run = in_epoch(fleet, 2)
    run.send_signal(signal.SIGTERM)
    assert run.wait(TIMEOUT_S) == 75
    assert fleet.said.endswith("Error: stopped; run the same command again to go on from here.\n")
    assert fleet.rows == [("FAIL", "interrupted"), ("WAITING", "")]
    run = in_epoch(fleet, fleet.num_epochs() + 2)
    fleet.workers()[0].kill()
    assert run.wait(TIMEOUT_S) == 0, fleet.said
    assert [reason for _, reason in fleet.rows] == ["interrupted", "lost", ""]
    fleet.require_whole(1, EPOCHS)
    assert result(fleet) == result(left_alone)


def test_a_finished_study_starts_nothing(left_alone: Fleet, monkeypatch: pytest.MonkeyPatch):
    """Run again, it ends in 0 and says why, without a worker and without a new row."""
    monkeypatch.delattr("blade_tune.fleet.supervisor.WorkerProcess")
    ended = call("run", "--study", "tiny", cwd=left_alone.folder)
    assert (ended.code, ended.err.splitlines()[-2]) == (
        0,
        "study=tiny ended: 1 of 1 trials are scored",
    )
    left_alone.require_whole(1, EPOCHS)
    assert left_alone.rows == [("COMPLETE", "")]
