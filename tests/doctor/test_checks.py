"""What the doctor finds and repairs, on faults made on purpose."""

import errno
import os
import shutil
from importlib import metadata
from types import SimpleNamespace

import optuna
import pytest
import torch

from blade_tune.doctor import checks as doctor
from blade_tune.spec import fingerprint
from blade_tune.study.create import open_study
from blade_tune.study.workspace import Workspace
from tests import tiny
from tests.doctor.examined import about, examine, tree

GIB = 2**30


# The machine


def test_a_healthy_study_has_no_problem(results):
    """Every finding is ok, in a line a check, and nothing was changed by looking."""
    before = tree(results)
    findings = examine(results)
    assert {finding.state for finding in findings} == {"ok"}
    assert [finding.check for finding in findings] == [
        "versions",
        "devices",
        "results",
        "storage",
        "study tiny",
    ]
    assert about("study tiny", findings)[0][1].startswith("3 of 3 trials are scored")
    assert tree(results) == before


def test_a_package_of_another_version_is_a_problem(results, monkeypatch):
    """Its finding names the package, the versions that do, the one that is here, and what to install."""
    real = metadata.version
    monkeypatch.setattr(
        doctor.metadata, "version", lambda name: "6.1.0" if name == "optuna" else real(name)
    )
    (problem,) = [finding for finding in examine(results) if finding.state == "problem"]
    assert problem.check == "versions"
    assert "optuna must be <6,>=5.0, and is 6.1.0" in problem.what
    assert problem.remedy == "pip install 'optuna<6,>=5.0'"


@pytest.mark.parametrize(
    ("free", "state"), [(6 * GIB, "ok"), (4 * GIB, "warning"), (GIB // 4, "problem")]
)
def test_a_full_disk_is_said_before_it_is_full(results, monkeypatch, free, state):
    """Below 5 GiB it is a warning, below half a one a problem."""
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    ((said, what),) = about("results", examine(results))
    assert (said, f"{free / GIB:.1f} GiB are free" in what) == (state, True)


def test_results_that_cannot_be_written_are_a_problem(results, monkeypatch):
    """It is tried, not asked for: a full quota shows itself only then."""

    def full(_: int) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(doctor.os, "fsync", full)
    ((state, what),) = about("results", examine(results))
    assert (state, "Disk quota exceeded" in what) == ("problem", True)


def test_a_network_file_system_is_named(results, monkeypatch):
    """Results may be on one, which the finding says."""
    monkeypatch.setattr(doctor, "file_system", lambda _: "nfs4")
    ((state, what),) = about("results", examine(results))
    assert (state, "nfs4, a network file system" in what) == ("ok", True)


def test_gpus_are_named_with_their_memory(monkeypatch):
    """A finding each; one that does not work is a problem."""

    def memory(gpu: int) -> tuple[int, int]:
        if gpu:
            raise RuntimeError("CUDA error: ECC")
        return 60 * GIB, 80 * GIB

    monkeypatch.setattr(doctor, "num_gpus", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "A100")
    monkeypatch.setattr(torch.cuda, "mem_get_info", memory)
    first, second, threads = doctor._devices()
    assert (first.state, first.what) == ("ok", "cuda:0 is A100, 60.0 of 80.0 GiB are free")
    assert (second.state, "CUDA error: ECC" in second.what) == ("problem", True)
    assert "no GPU" not in threads.what


# The database


def test_no_database_yet_is_no_problem(tmp_path):
    """Before the first run there is none, and looking makes neither it nor the results folder."""
    ((state, _),) = about("storage", examine(tmp_path / "results"))
    assert state == "ok"
    assert list(tmp_path.iterdir()) == []


def test_an_empty_server_is_no_problem(tmp_path, postgres_url):
    """The same for PostgreSQL."""
    ((state, what),) = about("storage", examine(tmp_path, storage=postgres_url))
    assert (state, "no study" in what) == ("ok", True)


def test_a_study_on_any_database_is_looked_at(tmp_path, database_url):
    """The database is described by its kind and version."""
    definition = tiny.define()
    open_study(definition, tiny.tiny_data(tmp_path), Workspace.at(database_url, tmp_path))
    findings = examine(tmp_path, storage=database_url)
    ((state, what),) = about("storage", findings)
    assert (state, ("PostgreSQL" if "postgres" in database_url else "SQLite") in what) == (
        "ok",
        True,
    )
    assert about("study tiny", findings)[0] == (
        "ok",
        "0 of 3 trials are scored, and a run here goes on with it",
    )


def test_a_server_that_is_away_is_a_problem(tmp_path):
    """It is said with the URL, which has no password then."""
    ((state, what),) = about(
        "storage", examine(tmp_path, storage="postgresql://me:hunter2@127.0.0.1:1/studies")
    )
    assert (state, "me:***@127.0.0.1" in what, "hunter2" in what) == ("problem", True, False)


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9])
def test_a_cut_database_is_a_problem(results, cut):
    """However much of the file is left, and nothing is thrown."""
    file = results / "studies.db"
    os.truncate(file, int(file.stat().st_size * cut))
    states = [state for state, _ in about("storage", examine(results))]
    assert "problem" in states


# Studies


def test_another_objective_version_is_a_problem(results, monkeypatch):
    """A run would refuse the study: its trials were measured otherwise."""
    monkeypatch.setattr(fingerprint, "OBJECTIVE_VERSION", 99)
    ((state, what),) = about("study tiny", examine(results))
    assert (state, "objective_version: stored" in what, "now 99" in what) == ("problem", True, True)


def test_other_data_is_a_problem(stored, results):
    """The data's hash is compared with the one that the study was run on."""
    identity = stored.study.user_attrs["fingerprint"]
    stored.study.set_user_attr("fingerprint", {**identity, "data": "0" * 64})
    ((state, what),) = about("study tiny", examine(results))
    assert (state, "was run on data of hash 000000000000" in what) == ("problem", True)


def test_data_is_looked_at_without_preparing_it_here(results):
    """Where it was never prepared, checking it leaves nothing behind."""
    shutil.rmtree(results / ".prepared")
    assert [state for state, _ in about("study tiny", examine(results))] == ["ok"]
    assert not (results / ".prepared").exists()


def test_a_study_of_another_program_is_left_alone(stored, results):
    """A database may hold studies that no run of ours made."""
    optuna.create_study(storage=stored.storage, study_name="other")
    assert [finding.check for finding in examine(results)][4:] == ["study tiny"]


def test_many_trials_are_a_warning(stored, results, monkeypatch, caplog):
    """The doctor warns, and so does whoever opens the study."""
    doctor.warn_of_size(stored)
    assert caplog.messages == []
    monkeypatch.setattr(doctor, "MANY_ROWS", 2)
    assert about("study tiny", examine(results)) == [("warning", "3 trials")]
    doctor.warn_of_size(stored)
    assert caplog.messages == [
        "study=tiny has 3 trials: a new study for each version of the space is better"
    ]
