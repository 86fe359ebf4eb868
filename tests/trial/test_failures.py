"""Trials made to fail: what is written down, what is charged, and when a run gives up."""

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from blade_tune.errors import ConfigError, DiskFullError, TooManyFailuresError
from blade_tune.models.blade.model import Blade
from blade_tune.storage.folder import StudyFolder
from blade_tune.training import loop
from blade_tune.trial import objective
from tests.tiny import Watch, rows, run, stored

Break = Callable[[Iterator[Exception | None]], None]


@pytest.fixture
def break_trials(monkeypatch: pytest.MonkeyPatch) -> Break:
    """Make each trial fail with the next of the given errors before it trains, or run where the next is None."""

    def install(errors: Iterator[Exception | None]) -> None:
        build = objective.build_training

        def broken(*args: Any) -> Any:
            if (error := next(errors)) is not None:
                raise error
            return build(*args)

        monkeypatch.setattr(objective, "build_training", broken)

    return install


def test_failed_trials_are_not_charged(tmp_path: Path, break_trials: Break):
    """Where every second trial fails, the budget is still met exactly, by trials that were scored."""
    break_trials(ValueError("broken") if number % 2 == 0 else None for number in range(99))
    run(tmp_path, search__trials=3)
    assert rows(tmp_path) == [("FAIL", "error"), ("COMPLETE", "")] * 3


def test_an_unknown_exception_is_an_error_with_its_traceback(tmp_path: Path, break_trials: Break):
    """The row has kind and text of the exception, the traceback is in the trial's log, and the study goes on."""
    break_trials(iter([ZeroDivisionError("one by none"), None]))
    watch = Watch()
    run(tmp_path, watch, search__trials=1)
    failed = stored(tmp_path).trials[0]
    assert (failed.user_attrs["reason"], failed.user_attrs["message"]) == (
        "error",
        "ZeroDivisionError: one by none",
    )
    log = StudyFolder(tmp_path, "tiny").trial(0).log.read_text(encoding="utf-8")
    assert "Traceback (most recent call last)" in log
    assert log.rstrip().endswith("ZeroDivisionError: one by none")
    assert "Traceback" not in StudyFolder(tmp_path, "tiny").trial(1).log.read_text(encoding="utf-8")
    assert watch.ended == [(0, "fail (error: ZeroDivisionError: one by none)"), (1, "complete")]


@pytest.mark.parametrize(
    ("error", "row"),
    [
        (ConfigError("size must be divisible"), ("PRUNED", "invalid")),
        (torch.OutOfMemoryError("no memory"), ("PRUNED", "oom")),
    ],
)
def test_invalid_and_oom_teach_the_sampler_and_are_not_charged(
    tmp_path: Path, break_trials: Break, error: Exception, row: tuple[str, str]
):
    """A configuration that cannot run is pruned without a report, so that it is avoided and not charged."""
    break_trials(iter([error, None]))
    run(tmp_path, search__trials=1)
    assert rows(tmp_path) == [row, ("COMPLETE", "")]
    assert stored(tmp_path).trials[0].user_attrs["message"] == str(error)


def test_a_loss_that_is_not_finite_is_reason_nan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The row has epoch, step and terms; its reports stand, its checkpoint is gone, and nothing is charged."""
    losses, calls = Blade.losses, iter(range(999))

    def break_second_epoch(self: Blade, batch: Any) -> Any:
        terms = losses(self, batch)
        return {**terms, "next": terms["next"] * float("nan")} if next(calls) == 3 else terms

    monkeypatch.setattr(Blade, "losses", break_second_epoch)
    run(tmp_path, search__trials=1)
    assert rows(tmp_path) == [("FAIL", "nan"), ("COMPLETE", "")]
    failed = stored(tmp_path).trials[0]
    assert failed.user_attrs["message"].startswith(
        "epoch 2, step 2: a loss is not finite: next nan, contrastive "
    )
    assert list(failed.intermediate_values) == [1]
    assert failed.user_attrs["epochs"] == 1  # what it has cost is known all the same
    assert failed.user_attrs["seconds"] > 0.0
    left = {path.name for path in StudyFolder(tmp_path, "tiny").trial(0).path.iterdir()}
    assert left == {"config.yaml", "train.log", "metrics.jsonl"}


@pytest.mark.parametrize("place", ["weights", "checkpoint"])
def test_a_full_disk_ends_the_run_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
):
    """The trial is queued, the error says what to do, and with room the same command goes on."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        if place == "weights":
            patch.setattr(objective, "save", full)
        else:
            patch.setattr(loop, "save_checkpoint", full)
        with pytest.raises(
            DiskFullError, match=r"trials/0: No space left on device; make room, then run the same"
        ):
            run(tmp_path, search__trials=1)
    assert rows(tmp_path) == [("FAIL", "interrupted"), ("WAITING", "")]
    run(tmp_path, search__trials=1)
    assert rows(tmp_path) == [("FAIL", "interrupted"), ("COMPLETE", "")]
    left = {path.name for path in StudyFolder(tmp_path, "tiny").trial(0).path.iterdir()}
    assert left == {"config.yaml", "train.log", "metrics.jsonl", "best.safetensors", "ranks.npy"}


def test_failures_in_a_row_end_the_run(tmp_path: Path, break_trials: Break):
    """The fifth failure in a row ends the run with exit code 5 and the latest message; the trial before counts not."""
    break_trials(
        iter([ValueError("first"), None, *(ValueError(f"broken {number}") for number in range(5))])
    )
    with pytest.raises(TooManyFailuresError) as error:
        run(tmp_path, search__trials=9)
    words = str(error.value)
    assert words.startswith(
        "study tiny: 5 trials in a row failed; the latest, trial 6: Traceback (most recent call last):\n"
    )
    assert words.endswith("\nValueError: broken 4")
    assert error.value.exit_code == 5
    assert len(rows(tmp_path)) == 7


def test_the_number_of_failures_is_an_option(tmp_path: Path, break_trials: Break):
    """Fewer failures may be enough; rows that wait behind them do not hide the message."""
    break_trials(ValueError(f"broken {number}") for number in range(9))
    enqueue = [{"model": {"alpha": alpha}} for alpha in (0.0, 0.25, 0.5, 0.75)]
    with pytest.raises(
        TooManyFailuresError,
        match=r"2 trials in a row failed; the latest, trial 1: (?s:.*)broken 1$",
    ):
        run(tmp_path, enqueue=enqueue, options={"max_consecutive_failures": 2})
    assert [state for state, _ in rows(tmp_path)] == ["FAIL", "FAIL", "WAITING", "WAITING"]


def test_a_study_goes_on_when_the_cause_is_gone(tmp_path: Path, break_trials: Break):
    """Failures of an earlier run do not end a later one: after the cause is mended, the same command finishes."""
    break_trials(iter([*(ValueError("broken") for _ in range(5)), None, None]))
    with pytest.raises(TooManyFailuresError):
        run(tmp_path, search__trials=2)
    run(tmp_path, search__trials=2)
    assert rows(tmp_path) == [("FAIL", "error")] * 5 + [("COMPLETE", "")] * 2
