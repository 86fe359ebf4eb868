"""What the doctor finds and repairs, on faults made on purpose."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
import torch
from optuna.trial import TrialState

from blade_tune.doctor import checks as doctor
from blade_tune.doctor import crash_remains as leftovers
from blade_tune.doctor.diagnosis import Diagnosis
from blade_tune.fleet.settings import RunSettings
from blade_tune.spec import fingerprint
from blade_tune.storage.attempts import ATTEMPTS, Claimant
from blade_tune.storage.process import Owner
from blade_tune.study.create import open_study
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace
from blade_tune.training.checkpoint import save_checkpoint
from tests.study import tiny

GIB = 2**30
ELSEWHERE = Owner("elsewhere", 1, 0.0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of the tiny study; tests leave it as it is."""
    results = tmp_path_factory.mktemp("finished")
    tiny.run(results)
    with closing(sqlite3.connect(results / "studies.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # a copy of the file alone is whole
    return results


@pytest.fixture
def results(finished: Path, tmp_path: Path) -> Path:
    """A copy that may be broken."""
    return shutil.copytree(finished, tmp_path / "results")


@pytest.fixture
def stored(results: Path) -> StoredStudy:
    return tiny.stored(results)


@pytest.fixture
def killed() -> Owner:
    """A process of this host that was killed."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    owner = Owner.of(process.pid)
    process.kill()
    process.wait()
    return owner


def examine(
    results: Path, fix: leftovers.Notify | None = None, **options: object
) -> list[Diagnosis]:
    """All findings; `pytest.fail` as a fix is one that need not wait."""
    return doctor.examine(
        RunSettings.model_validate({"results": results, "grace_s": 60.0, **options}), fix=fix
    )


def about(check: str, findings: list[Diagnosis]) -> list[tuple[str, str]]:
    return [(finding.state, finding.what) for finding in findings if finding.check == check]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file, but for what SQLite puts beside a database while it is open."""
    paths = (
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    )
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def hold(stored: StoredStudy, owner: Owner) -> str:
    """Claim a slot in a process's name."""
    attempt = stored.attempts.claim(99, Claimant(owner, "cpu", 1.0))
    assert attempt
    return attempt


def train(stored: StoredStudy, owner: Owner) -> int:
    """The same with a trial; gives its number."""
    attempt = hold(stored, owner)
    asked = stored.study.ask()
    stored.definition.space.suggest(asked)
    stored.attempts.link(attempt, asked.number)
    return asked.number


def silence(stored: StoredStudy) -> None:
    """Let no open attempt have been heard of for a day."""
    with stored.storage.engine.begin() as connection:
        connection.execute(ATTEMPTS.update().values(renewed=ATTEMPTS.c.renewed - 86_400))


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

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
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
