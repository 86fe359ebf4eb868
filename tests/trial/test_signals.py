"""Ctrl-C and SIGTERM: the trial is queued with its checkpoint, and going on gives what was never stopped."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from safetensors.torch import load_file

from blade_tune.errors import InterruptedStudyError, PreemptedError, StudyDiffersError
from blade_tune.storage.folder import StudyFolder
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.training.loop import Training
from blade_tune.trial import objective
from tests.tiny import Watch, rows, run, stored

LONG: dict[str, Any] = {"train": {"max_epochs": 4, "eval_every": 2, "schedule": "plateau"}}


class Kill(Watch):
    """Sends signals to this process at the end of one epoch of one trial."""

    def __init__(self, trial: int, epoch: int, *signals: signal.Signals) -> None:
        super().__init__()
        self.at = (trial, epoch)
        self.signals = signals

    def epoch_ended(self, number: int, record: EpochRecord) -> None:
        super().epoch_ended(number, record)
        if (number, record.epoch) == self.at:
            for each in self.signals:
                os.kill(os.getpid(), each)


def result(results: Path, number: int) -> dict[str, Any]:
    """All that is left of a trial that depends on no clock."""
    trial = stored(results).trials[number]
    root = int(trial.user_attrs.get("root", number))
    folder = StudyFolder(results, "tiny").trial(root)
    weights = load_file(folder.weights)
    return {
        "params": trial.params,
        "value": trial.value,
        "curve": trial.intermediate_values,
        "facts": {
            k: v
            for k, v in trial.user_attrs.items()
            if k not in ("seconds", "cpu_seconds", "root", "clock", "files")
        },
        "weights": {name: weight.tolist() for name, weight in weights.items()},
        "ranks": np.load(folder.ranks).tolist(),
    }


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trials of a study that was never stopped."""
    results = tmp_path_factory.mktemp("left_alone")
    run(results, search__trials=2, **LONG)
    return results


@pytest.mark.parametrize(
    ("number", "epoch", "ends"),
    [
        (signal.SIGINT, 1, (InterruptedStudyError, 130)),
        (signal.SIGINT, 2, (InterruptedStudyError, 130)),
        (signal.SIGTERM, 3, (PreemptedError, 75)),
    ],
)
def test_a_signal_ends_the_run_and_the_next_run_goes_on(
    tmp_path: Path, left_alone: Path, number: signal.Signals, epoch: int, ends: tuple[type, int]
):
    """The trial is queued with its checkpoint after the epoch; continued, it is bit for bit what it would have been."""
    with pytest.raises(
        InterruptedStudyError, match=r"^stopped; run the same command again"
    ) as error:
        run(tmp_path, Kill(1, epoch, number), search__trials=2, **LONG)
    assert (type(error.value), error.value.exit_code) == ends
    assert rows(tmp_path) == [("COMPLETE", ""), ("FAIL", "interrupted"), ("WAITING", "")]
    assert StudyFolder(tmp_path, "tiny").trial(1).checkpoint.exists()
    watch = Watch()
    run(tmp_path, watch, search__trials=2, **LONG)
    assert rows(tmp_path) == [("COMPLETE", ""), ("FAIL", "interrupted"), ("COMPLETE", "")]
    assert result(tmp_path, 2) == result(left_alone, 1)
    assert not StudyFolder(tmp_path, "tiny").trial(1).checkpoint.exists()
    assert not StudyFolder(tmp_path, "tiny").trial(2).path.exists()


def test_a_trial_may_be_interrupted_again_and_again(tmp_path: Path, left_alone: Path):
    """Every attempt goes on from the one before, in the folder of the first; only the last is charged."""
    for attempt in range(3):
        with pytest.raises(InterruptedStudyError):
            run(tmp_path, Kill(attempt, attempt + 1, signal.SIGINT), search__trials=1, **LONG)
    run(tmp_path, search__trials=1, **LONG)
    assert rows(tmp_path) == [("FAIL", "interrupted")] * 3 + [("COMPLETE", "")]
    assert result(tmp_path, 3) == result(left_alone, 0)
    assert stored(tmp_path).trials[3].user_attrs["root"] == 0


def test_a_signal_in_the_last_epoch_loses_nothing(
    tmp_path: Path, left_alone: Path, monkeypatch: pytest.MonkeyPatch
):
    """A trial that was just ending is finished by the next run without training, even under another signal."""
    with pytest.raises(InterruptedStudyError):
        # Heard at the end of epoch 4
        run(tmp_path, Kill(0, 3, signal.SIGINT), search__trials=1, **LONG)
    monkeypatch.delattr(Training, "_epoch")
    run(tmp_path, Kill(1, 3, signal.SIGINT), search__trials=1, **LONG)
    assert result(tmp_path, 1) == result(left_alone, 0)


def test_a_second_signal_stops_at_once(tmp_path: Path, left_alone: Path):
    """The second signal does not wait; at most the epochs since the last evaluation are trained again."""
    watch = Kill(0, 3, signal.SIGINT, signal.SIGINT)
    with pytest.raises(InterruptedStudyError):
        run(tmp_path, watch, search__trials=1, **LONG)
    assert rows(tmp_path) == [("FAIL", "interrupted"), ("WAITING", "")]
    run(tmp_path, search__trials=1, **LONG)
    assert result(tmp_path, 1) == result(left_alone, 0)


def test_a_stop_while_results_are_kept_is_continued(
    tmp_path: Path, left_alone: Path, monkeypatch: pytest.MonkeyPatch
):
    """Stopped between training and its last file, the trial is continued, not failed."""

    def stop(*_: Any) -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(objective, "save", stop)
        with pytest.raises(PreemptedError):
            run(tmp_path, search__trials=1, **LONG)
    assert rows(tmp_path) == [("FAIL", "interrupted"), ("WAITING", "")]
    run(tmp_path, search__trials=1, **LONG)
    assert result(tmp_path, 1) == result(left_alone, 0)


def test_an_interrupted_point_of_a_grid_is_still_to_do(tmp_path: Path):
    """A grid is not ended by a point whose trial waits to be continued."""
    grid = {
        "space__model__alpha": 0.5,
        "space__model__lambda_": 0.1,
        "search": {"trials": 9, "sampler": "grid"},
    }
    with pytest.raises(InterruptedStudyError):
        run(tmp_path, Kill(1, 1, signal.SIGINT), **grid, **LONG)
    assert run(tmp_path, **grid, **LONG) == "every point of the grid is tried: 2 trials are scored"
    assert rows(tmp_path) == [("COMPLETE", ""), ("FAIL", "interrupted"), ("COMPLETE", "")]


def test_an_interrupted_trial_keeps_its_tag(tmp_path: Path):
    """What is known of an enqueued trial stays known when it is continued."""
    enqueue = [{"model": {"alpha": 0.25}, "tag": "mine"}]
    with pytest.raises(InterruptedStudyError):
        run(tmp_path, Kill(0, 1, signal.SIGINT), search__trials=1, enqueue=enqueue, **LONG)
    run(tmp_path, search__trials=1, enqueue=enqueue, **LONG)
    interrupted, continued = stored(tmp_path).trials
    assert continued.user_attrs["tag"] == "mine"
    assert continued.params == interrupted.params
    assert continued.params["model.alpha"] == 0.25


def test_a_continued_trial_is_not_pruned_where_it_has_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Others may have raised the bar meanwhile: it holds for epochs to come, not for those that were good enough."""
    pruned = {**LONG, "search": {"trials": 1, "pruner": {"kind": "median", "warmup": 0.0}}}
    with pytest.raises(InterruptedStudyError):
        run(
            tmp_path,
            Kill(0, 3, signal.SIGINT),
            **{**pruned, "train": {"max_epochs": 6, "eval_every": 2}},
        )
    monkeypatch.setattr(optuna.trial.Trial, "should_prune", lambda _: True)
    run(tmp_path, **{**pruned, "train": {"max_epochs": 6, "eval_every": 2}})
    assert rows(tmp_path) == [("FAIL", "interrupted"), ("PRUNED", "pruned")]
    assert sorted(stored(tmp_path).trials[1].intermediate_values) == [2, 4, 6]


def test_a_checkpoint_of_another_study_is_not_gone_on_from(tmp_path: Path):
    """A folder with trials that a database does not know is another study's: the run is refused before any trial."""
    folder = StudyFolder(tmp_path, "tiny").trial(0)
    folder.path.mkdir(parents=True)
    folder.checkpoint.write_bytes(b"of another trial 0")
    with pytest.raises(StudyDiffersError, match="a study that this database does not know"):
        run(tmp_path, search__trials=1, **LONG)
    assert folder.checkpoint.read_bytes() == b"of another trial 0"


def test_signals_are_handled_as_before_after_a_run(tmp_path: Path):
    """A run that ended leaves Ctrl-C to whoever had it."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    run(tmp_path, search__trials=1)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
