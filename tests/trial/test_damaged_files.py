"""Trials whose files were damaged: what is trained anew, what is left out, and what is left behind."""

import signal
from pathlib import Path

import pytest
from optuna.trial import TrialState

from blade_tune.errors import ConfigError, InterruptedStudyError
from blade_tune.files import write_whole
from blade_tune.storage import recovery
from blade_tune.storage.folder import StudyFolder, TrialFolder
from blade_tune.storage.recovery import Recovery
from blade_tune.trial.curves import curve_rows
from blade_tune.trial.log import logged_to
from tests.damage import damages
from tests.storage.test_recovery import GRACE_S
from tests.tiny import rows, run, stored
from tests.trial.test_signals import Kill, result


def test_a_trial_with_a_damaged_checkpoint_starts_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """With a warning, and ends as one that was left alone."""
    with pytest.raises(InterruptedStudyError):
        run(tmp_path / "a", Kill(0, 1, signal.SIGINT), search__trials=1)
    path = StudyFolder(tmp_path / "a", "tiny").trial(0).checkpoint
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    run(tmp_path / "a", search__trials=1)
    run(tmp_path / "b", search__trials=1)
    assert rows(tmp_path / "a") == [("FAIL", "interrupted"), ("COMPLETE", "")]
    assert f"{path}: must be a checkpoint as it was written" in caplog.text
    assert result(tmp_path / "a", 1) == result(tmp_path / "b", 0)


def test_a_trial_that_is_given_up_leaves_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whoever queues it no more removes it; as long as it is queued, it stays."""
    with pytest.raises(InterruptedStudyError):
        run(tmp_path, Kill(0, 1, signal.SIGINT), search__trials=1)
    study = stored(tmp_path)
    checkpoint = study.folder.trial(0).checkpoint
    for left, number in ((True, 1), (False, 2)):
        monkeypatch.setattr(recovery, "MAX_RETRIES", 1 if left else 0)
        assert study.study.ask().number == number
        Recovery(study.storage, study.study, study.attempts, GRACE_S, study.folder).give_up(
            number, "gone"
        )
        assert checkpoint.exists() == left
    assert rows(tmp_path)[-1] == ("FAIL", "error")


def test_epochs_of_a_damaged_file_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Of 200 damaged files each gives none, with a warning, or what it gave before."""
    run(tmp_path, search__trials=1)
    study = stored(tmp_path)
    files = study.files(study.trials[0])
    before, whole = curve_rows(files), files.metrics.read_bytes()
    assert [row["epoch"] for row in before] == [1, 2]
    for name, damage in damages(200, seed=3):
        caplog.clear()
        files.metrics.write_bytes(damage(whole))
        found = curve_rows(files)
        assert found == before or (found == [] and str(files.metrics) in caplog.text), name


def test_epochs_of_a_file_without_a_digest_are_told_where_it_is_whole(tmp_path: Path):
    """A cut, empty or foreign file of a trial of before tells none."""
    folder = TrialFolder(tmp_path)
    record = '{"epoch": %d, "losses": {}, "learning_rate": null, "seconds": 1.0, "metrics": {"ndcg@10": 0.5}}\n'
    folder.metrics.write_text(record % 1 + record % 2)
    assert [row["epoch"] for row in curve_rows(folder)] == [1, 2]
    for content in (
        "",
        "[]\n",
        record % 2,
        (record % 1)[:40],
        record % 1 + '{"epoch": 2}\n',
        "\ud800\n",
    ):
        folder.metrics.write_text(content, encoding="utf-8", errors="surrogatepass")
        assert curve_rows(folder) == []


def test_every_end_has_the_digests_of_its_files(tmp_path: Path):
    """Of the files of the folder and of those that the dashboard shows; an attempt that is continued has none."""
    with pytest.raises(InterruptedStudyError):
        run(tmp_path, Kill(0, 1, signal.SIGINT), search__trials=1)
    run(tmp_path, search__trials=1)
    first, last = stored(tmp_path).trials
    assert "files" not in first.user_attrs
    names = {name for name in last.user_attrs["files"] if "/" not in name}
    assert names == {"config.yaml", "metrics.jsonl", "best.safetensors", "ranks.npy"}
    assert sum(name.startswith("artifacts/") for name in last.user_attrs["files"]) == 4


def test_a_file_in_the_place_of_a_folder_is_one_clear_error(tmp_path: Path):
    """Nothing is trained, and nothing is lost: the trial is there for the next run."""
    folder = StudyFolder(tmp_path, "tiny")
    folder.path.mkdir()
    (folder.path / "trials").write_text("in the way")
    with pytest.raises(
        ConfigError, match="must be a folder, and is or lies under a file; move that away"
    ):
        run(tmp_path, search__trials=1)
    (folder.path / "trials").unlink()
    study = stored(tmp_path)
    Recovery(study.storage, study.study, study.attempts, GRACE_S, study.folder).sweep()
    run(tmp_path, search__trials=1)
    assert sum(trial.state == TrialState.COMPLETE for trial in stored(tmp_path).trials) == 1


def test_a_folder_in_the_place_of_a_file_gives_way_where_it_is_empty(tmp_path: Path):
    """One that holds others is left, and named."""
    path = tmp_path / "file"
    path.mkdir()
    write_whole(path, b"a")
    assert path.read_bytes() == b"a"
    path.unlink()
    path.mkdir()
    (path / "other").touch()
    with pytest.raises(
        ConfigError, match="must be a file, and is a folder that holds others; move it away"
    ):
        write_whole(path, b"a")
    assert [each.name for each in tmp_path.rglob("*")] == ["file", "other"]


def test_a_log_that_cannot_be_written_costs_no_trial(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """There is a warning instead, and what is logged meanwhile goes where it went."""
    folder = StudyFolder(tmp_path, "tiny").trial(0)
    folder.log.mkdir(parents=True)
    with logged_to(folder):
        pass
    assert f"{folder.log} cannot be written (Is a directory): this trial has no log" in caplog.text
