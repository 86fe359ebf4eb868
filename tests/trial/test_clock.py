"""The clock of a trial: what is stored of its time, when, and what is read where nothing is."""

import json
import signal
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import Trial, TrialState

from blade_tune.errors import InterruptedStudyError
from blade_tune.storage.folder import TrialFolder
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.trial.clock import Clock, row_seconds, training_seconds
from tests import tiny
from tests.trial.test_signals import LONG, Kill

METRIC = "ndcg@10"


@pytest.fixture
def trial() -> Trial:
    """One that has just begun."""
    return optuna.create_study(direction="maximize").ask()


def records(*seconds: float) -> list[EpochRecord]:
    return [EpochRecord(epoch, {}, 0.01, each) for epoch, each in enumerate(seconds, start=1)]


def stored_readings(trial: Trial) -> list[Any]:
    return list(trial.study.trials[trial.number].user_attrs.get("clock", []))


def test_a_reading_has_the_seconds_of_training_until_then(trial):
    """They are the sum of all epochs so far, evaluated or not, and none of those that a replay has yet to come to."""
    clock = Clock(trial)
    clock.read(records(1.0, 2.0, 4.0), 2, 0.1)
    clock.read(records(1.0, 2.0, 4.0), 3, 0.2)
    assert [reading[:2] for reading in stored_readings(trial)] == [(2, 3.0), (3, 7.0)]


def test_a_row_s_own_seconds_run_from_its_start(trial):
    """By the wall clock, whatever the row waited for."""
    trial._cached_frozen_trial.datetime_start = datetime.now() - timedelta(seconds=100)
    clock = Clock(trial)
    clock.read(records(1.0), 1, 0.1)
    ((_, _, seconds),) = stored_readings(trial)
    assert 100 <= seconds < 110


def test_a_new_best_is_stored_at_once(trial):
    """A figure that is not higher waits for the next that is, or for the end."""
    clock, known = Clock(trial), []
    for epoch, figure in enumerate((0.1, 0.1, 0.05, 0.2, 0.15), start=1):
        clock.read(records(*[1.0] * epoch), epoch, figure)
        known.append([reading[0] for reading in stored_readings(trial)])
    assert known == [[1], [1], [1], [1, 2, 3, 4], [1, 2, 3, 4]]
    clock.store()
    assert [reading[0] for reading in stored_readings(trial)] == [1, 2, 3, 4, 5]


def test_every_report_of_a_run_has_its_time(tmp_path: Path):
    """Training adds up to what the trial says it has cost; its row took longer."""
    tiny.run(tmp_path, search__trials=2, train={"max_epochs": 4, "eval_every": 2})
    for row in tiny.stored(tmp_path).trials:
        readings = row.user_attrs["clock"]
        assert [epoch for epoch, *_ in readings] == [*row.intermediate_values] == [2, 4]
        assert readings[-1][1] == pytest.approx(row.user_attrs["seconds"], abs=1e-3)
        assert 0 < readings[0][1] < readings[0][2] < readings[1][2]


def test_a_row_that_goes_on_has_a_clock_of_its_own(tmp_path: Path):
    """It tells the training of all attempts, and when it reported their figures itself; the first keeps its own."""
    with pytest.raises(InterruptedStudyError):
        tiny.run(tmp_path, Kill(0, 2, signal.SIGINT), search__trials=1, **LONG)
    first, waiting = tiny.stored(tmp_path).trials
    assert ([epoch for epoch, *_ in first.user_attrs["clock"]], "clock" in waiting.user_attrs) == (
        [2],
        False,
    )
    tiny.run(tmp_path, search__trials=1, **LONG)
    before, after = (row.user_attrs["clock"] for row in tiny.stored(tmp_path).trials)
    assert before == first.user_attrs["clock"]
    assert [epoch for epoch, *_ in after] == [2, 4]
    assert after[0][:2] == before[0][:2]
    assert after[1][1] > after[0][1]


def test_a_fit_has_a_time(tmp_path: Path):
    """A model without epochs has one reading."""
    space = {"model": {"max_length": 6, "counts": {"choice": ["all", "target_set"]}}}
    tiny.run(tmp_path, model="popularity", space=space, train={}, search__trials=1)
    (row,) = tiny.stored(tmp_path).trials
    ((epoch, trained, seconds),) = row.user_attrs["clock"]
    assert (epoch, 0 < trained <= seconds) == (1, True)


def test_the_database_is_asked_before_the_files(tmp_path: Path):
    """Its readings are what is told, without a file."""
    row = optuna.create_trial(
        value=0.2, intermediate_values={2: 0.2}, user_attrs={"clock": [[2, 3.0, 5.0]]}
    )
    assert training_seconds(row, TrialFolder(tmp_path), METRIC) == {2: 3.0}
    assert row_seconds(row) == {2: 5.0}


@pytest.mark.parametrize(("figure", "found"), [(0.2, {2: 3.0}), (0.3, {})])
def test_the_file_of_an_earlier_version_s_trial_tells_its_training(
    tmp_path: Path, figure: float, found: dict
):
    """As long as it has the figures of the database: those of another trial of this number are not taken for it."""
    folder = TrialFolder(tmp_path)
    lines = [
        {"epoch": 1, "losses": {}, "learning_rate": 0.1, "seconds": 1.0, "metrics": {}},
        {
            "epoch": 2,
            "losses": {},
            "learning_rate": 0.1,
            "seconds": 2.0,
            "metrics": {METRIC: figure},
        },
    ]
    folder.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    row = optuna.create_trial(state=TrialState.PRUNED, intermediate_values={2: 0.2})
    assert training_seconds(row, folder, METRIC) == found
    assert row_seconds(row) == {}


def test_nothing_is_known_without_both(tmp_path: Path):
    """No share of the whole is made up."""
    row = optuna.create_trial(
        value=0.2, intermediate_values={2: 0.2}, user_attrs={"seconds": 9.0, "epochs": 2}
    )
    assert training_seconds(row, TrialFolder(tmp_path), METRIC) == {}
