"""What ended trials leave, on the disk and in memory."""

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState

from blade_tune.storage.trials import ranked
from blade_tune.study.cleaner import Cleaner
from blade_tune.study.create import open_study
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace
from blade_tune.training.loop import Training
from blade_tune.trial import objective
from blade_tune.trial.objective import build_training
from tests.tiny import Watch, define, run, tiny_data

KEEP = 2


@pytest.fixture
def fresh(tmp_path: Path) -> StoredStudy:
    """The tiny study with no trial."""
    return open_study(define(), tiny_data(tmp_path), Workspace.at(None, tmp_path))


def end(stored: StoredStudy, value: float | None) -> int:
    """A trial that leaves all its files, complete or, without a value, pruned; gives its number."""
    trial = stored.study.ask()
    folder = stored.folder.trial(trial.number)
    folder.path.mkdir(parents=True)
    folder.checkpoint.touch()
    if value is not None:
        folder.weights.touch()
    stored.study.tell(
        trial, value, state=TrialState.PRUNED if value is None else TrialState.COMPLETE
    )
    return trial.number


def left(stored: StoredStudy, name: str) -> set[int]:
    """Numbers of the trials that have a file."""
    return {int(path.parent.name) for path in (stored.folder.path / "trials").glob(f"*/{name}")}


def test_after_every_end_the_best_have_weights_and_no_other(fresh: StoredStudy):
    """Whichever of two workers ends a trial, in whatever order values come, equal ones and pruned ones among them."""
    dice, workers = np.random.default_rng(0), [Cleaner(fresh, KEEP), Cleaner(fresh, KEEP)]
    for _ in range(30):
        number = end(fresh, [None, 0.1, 0.2, 0.3, dice.random()][dice.integers(5)])
        workers[dice.integers(2)].clean(number)
        assert left(fresh, "best.safetensors") == {
            trial.number for trial in ranked(fresh.trials)[:KEEP]
        }
        assert left(fresh, "checkpoint.pt") == set()


@pytest.mark.parametrize("is_new", [False, True], ids=["a worker at work", "a new worker"])
def test_weights_that_a_killed_worker_left_go_at_the_next_end(fresh: StoredStudy, is_new: bool):
    """A worker that was killed between a trial's end and its cleaning leaves weights until somebody's trial ends."""
    at_work = Cleaner(fresh, KEEP)
    for value in (0.5, 0.6, 0.7):
        at_work.clean(end(fresh, value))
    end(fresh, 0.1)
    end(fresh, 0.8)
    assert left(fresh, "best.safetensors") == {1, 2, 3, 4}
    (Cleaner(fresh, KEEP) if is_new else at_work).clean(end(fresh, None))
    assert left(fresh, "best.safetensors") == {2, 4}


def test_fewer_weights_to_keep_go_at_the_first_end(fresh: StoredStudy):
    """A run that keeps fewer than the one before removes the others when its first trial ends."""
    for value in (0.5, 0.6, 0.7):
        Cleaner(fresh, KEEP).clean(end(fresh, value))
    Cleaner(fresh, 1).clean(end(fresh, 0.1))
    assert left(fresh, "best.safetensors") == {2}


def test_a_trial_is_out_of_memory_when_the_next_one_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its model is freed at its end, though it stands in a cycle and nothing else would look for it."""
    trainings: list[weakref.ref[Training]] = []

    def build(*args: Any) -> Training:
        assert [training() for training in trainings] == [None] * len(trainings)
        training = build_training(*args)
        training.model.training_of = [training]
        trainings.append(weakref.ref(training))
        return training

    monkeypatch.setattr(objective, "build_training", build)
    gc.disable()
    try:
        run(tmp_path, Watch())
    finally:
        gc.enable()
    assert len(trainings) == 3
