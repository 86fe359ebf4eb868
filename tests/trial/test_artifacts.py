"""What the dashboard shows beside a trial's numbers: its files, and the name of its value."""

import csv
import io
import json
import logging
import signal
import sqlite3
from pathlib import Path

import optuna
import pytest
from optuna.artifacts import get_all_artifact_meta
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from blade_tune.errors import InterruptedStudyError
from blade_tune.storage.folder import StudyFolder
from blade_tune.trial import artifacts, objective
from tests.tiny import rows, run, stored
from tests.trial.test_signals import Kill

KINDS = {
    "config.yaml": "application/yaml",
    "curve.csv": "text/csv",
    "curve.svg": "image/svg+xml",
    "train.log": "text/plain",
}


def shown(results: Path, number: int) -> dict[str, str]:
    """The content of each file that the dashboard has of a trial."""
    study = stored(results)
    metas = get_all_artifact_meta(study.trials[number], storage=study.storage)
    assert all(meta.mimetype == KINDS[meta.filename] for meta in metas)
    assert len({meta.filename for meta in metas}) == len(metas)
    return {meta.filename: (results / "artifacts" / meta.artifact_id).read_text() for meta in metas}


def test_a_trial_shows_curve_log_and_configuration(tmp_path: Path):
    """A finished trial has four files: what its folder has, and a row an epoch with all that was measured in it."""
    run(tmp_path, search__trials=1)
    folder = StudyFolder(tmp_path, "tiny").trial(0)
    files = shown(tmp_path, 0)
    assert files.keys() == KINDS.keys()
    assert files["config.yaml"] == folder.config.read_text()
    assert files["train.log"] == folder.log.read_text()
    assert files["curve.svg"].startswith("<svg ")
    records = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    read = list(csv.DictReader(io.StringIO(files["curve.csv"])))
    assert [float(row["ndcg@10"]) for row in read] == [
        record["metrics"]["ndcg@10"] for record in records
    ]
    assert list(read[0]) == [
        "epoch",
        *(f"loss.{name}" for name in records[0]["losses"]),
        *records[0]["metrics"],
        "learning_rate",
        "seconds",
        "cpu_seconds",
    ]


def test_a_pruned_trial_shows_its_curve_too(tmp_path: Path):
    """A trial that the pruner ended has its curve up to there."""
    pruner = {"kind": "median", "startup_trials": 1, "warmup": 0}
    run(tmp_path, search__trials=8, search__pruner=pruner, train__max_epochs=3)
    pruned = [number for number, (state, _) in enumerate(rows(tmp_path)) if state == "PRUNED"]
    assert pruned
    assert all(shown(tmp_path, number).keys() == KINDS.keys() for number in pruned)


def test_a_trial_that_failed_before_its_first_epoch_shows_what_there_is(
    tmp_path: Path, monkeypatch
):
    """Its log has the traceback; there is no curve."""
    monkeypatch.setattr(objective, "build_training", lambda *_: 1 / 0)
    with pytest.raises(Exception, match="in a row failed"):
        run(tmp_path, options={"max_consecutive_failures": 1})
    files = shown(tmp_path, 0)
    assert files.keys() == {"config.yaml", "train.log"}
    assert "ZeroDivisionError" in files["train.log"]


def test_no_trial_shows_the_curve_of_another(tmp_path: Path, monkeypatch):
    """A folder that a trial of the same number in a newer state of the database has left lends a failed trial none."""
    run(tmp_path, search__trials=1)
    tables = ("trials", "trial_params", "trial_values", "trial_intermediate_values")
    tables += ("trial_user_attributes", "trial_system_attributes")
    # As a backup of before the trial has it
    with sqlite3.connect(tmp_path / "studies.db") as connection:
        for table in tables:
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - of the lines above
    connection.close()
    test_a_trial_that_failed_before_its_first_epoch_shows_what_there_is(tmp_path, monkeypatch)


def test_only_the_last_attempt_of_a_trial_shows_files(tmp_path: Path):
    """A row that another goes on from has none; the one that ended the trial has the whole curve."""
    with pytest.raises(InterruptedStudyError):
        run(tmp_path, Kill(0, 1, signal.SIGINT), search__trials=1)
    run(tmp_path, search__trials=1)
    assert rows(tmp_path) == [("FAIL", "interrupted"), ("COMPLETE", "")]
    assert shown(tmp_path, 0) == {}
    assert [
        row["epoch"] for row in csv.DictReader(io.StringIO(shown(tmp_path, 1)["curve.csv"]))
    ] == ["1", "2"]


def test_a_file_that_cannot_be_kept_loses_no_result(tmp_path: Path, caplog):
    """Where the folder cannot be written, trials complete as ever, and a warning each says what is missing."""
    (tmp_path / "artifacts").write_text("in the way")
    with caplog.at_level(logging.WARNING, "blade_tune"):
        run(tmp_path, search__trials=2)
    assert rows(tmp_path) == [("COMPLETE", "")] * 2
    messages = [record.getMessage() for record in caplog.records]
    assert [message.partition(":")[0] for message in messages] == [
        f"trial={number} the dashboard does not show all of its files" for number in (0, 1)
    ]


def test_a_trial_that_ended_elsewhere_takes_no_files(tmp_path: Path):
    """That somebody else ended it is no accident of a file: the caller hears of it."""
    run(tmp_path, search__trials=1)
    study = stored(tmp_path)
    study.study.add_trial(optuna.create_trial(state=TrialState.WAITING, user_attrs={"root": 0}))
    trial = study.study.ask()
    study.study.tell(trial.number, state=TrialState.FAIL)
    with pytest.raises(UpdateFinishedTrialError):
        artifacts.upload_trial(trial, study.folder, "ndcg@10")
    assert shown(tmp_path, trial.number) == {}


def test_a_study_s_value_has_a_name(tmp_path: Path):
    """Axes and tables call it "valid NDCG@10"; a study from before it was named is given the name when it is run."""
    run(tmp_path, search__trials=1)
    study = stored(tmp_path)
    assert study.study.metric_names == ["valid NDCG@10"]
    study.storage.set_study_system_attr(study.study_id, "study:metric_names", None)
    assert stored(tmp_path).study.metric_names is None
    run(tmp_path, search__trials=1)
    assert stored(tmp_path).study.metric_names == ["valid NDCG@10"]
