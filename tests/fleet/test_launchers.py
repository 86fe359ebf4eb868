"""Runs whose workers a cluster places; submitit's local executor and a Ray of this machine stand for one."""

import ast
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from sqlalchemy.engine import make_url

import blade_tune
from blade_tune.errors import ConfigError, ReportedError, WorkerError
from blade_tune.fleet.launchers.base import Launcher, choose
from blade_tune.fleet.launchers.job import Ended, Job
from blade_tune.fleet.launchers.run import run_jobs
from blade_tune.fleet.settings import RunSettings
from blade_tune.trial.callback import Callback
from tests import tiny
from tests.cli import program
from tests.cli.program import Ended as Program
from tests.cli.program import call, finish, read_until, start, write_study

STOPPED = "stopped; run the same command again to go on from here."
LOCAL = ("--launcher", "slurm", "--launcher-option", "cluster=local")
PASSWORD = "s3cr3t-in-no-file"  # noqa: S105 - the test server asks for none
LONG = {"max_epochs": 400, "eval_every": 1, "patience": 400}


def status(cwd: Path, *storage: str) -> dict:
    return json.loads(call("status", "--study", "tiny", "-f", "json", *storage, cwd=cwd).out)


def fake_slurm(folder: Path) -> dict[str, str]:
    """A PATH with a SLURM that never has room: it writes down what it is asked, and what environment it was given."""
    scripts = {
        "srun": "",
        "sbatch": f'env > {folder}/environment; echo "Submitted batch job 17"',
        "sacct": 'echo "JobID|State|NodeList"; echo "17|PENDING|"',
        "scancel": f'echo "$@" >> {folder}/cancelled',
    }
    folder.mkdir()
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(stat.S_IRWXU)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def with_password(url: str) -> str:
    return make_url(url).set(password=PASSWORD).render_as_string(hide_password=False)


def files_with(word: str, folder: Path) -> list[Path]:
    return [
        path for path in folder.rglob("*") if path.is_file() and word.encode() in path.read_bytes()
    ]


# Options


@pytest.mark.parametrize("name", ["slurm", "ray"])
def test_a_launcher_that_is_not_installed_says_how_to_install_it(name, tmp_path, monkeypatch):
    """Without its extra a launcher is refused with the line that installs it."""
    monkeypatch.setitem(sys.modules, "submitit" if name == "slurm" else "ray", None)
    with pytest.raises(ConfigError, match=rf"pip install 'blade-tune\[{name}\]'"):
        choose(name, RunSettings(), [], tmp_path)


def test_ray_is_told_the_share_of_a_gpu(tmp_path):
    """An actor gets its part of a GPU before it could find out how large that should be."""
    with pytest.raises(ConfigError, match="give --per-gpu K"):
        choose("ray", RunSettings(per_gpu="auto"), [], tmp_path)


def test_launchers_are_imported_only_when_asked_for():
    """No module of the package imports submitit or ray at its top."""
    for path in Path(blade_tune.__file__).parent.rglob("*.py"):
        top = [
            node
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        assert not any(
            word in ast.unparse(node).split() for node in top for word in ("submitit", "ray")
        )


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("slurm", ["cluster"], "KEY=VALUE, got 'cluster'"),
        (
            "slurm",
            ["cluster=local", "slurm_partitoin=gpu"],
            "Unknown argument 'partitoin' for executor 'slurm'",
        ),
        ("slurm", ["cluster=local", "timeout_min=soon"], '"timeout_min" expected type'),
        ("slurm", ["cluster=local", "nodes=2"], "nodes is not to be set"),
        ("slurm", ["cluster=pbs"], "must be slurm or local"),
        ("slurm", [], "a SQLite file; give --storage postgresql"),
        ("ray", ["gpus=1"], "has the options num_cpus, max_restarts"),
        ("ray", ["num_cpus=all"], "which are numbers"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused(name, options, words, tmp_path):
    """Unknown names and wrong types are configuration errors, before anything is submitted."""
    with pytest.raises(ConfigError, match=words):
        choose(name, RunSettings(), options, tmp_path / "jobs")


def test_options_without_a_launcher_are_refused(tmp_path):
    """What would have no effect is an error."""
    write_study(tmp_path / "studies" / "tiny.yaml")
    ended = call("run", "--study", "tiny", "--launcher-option", "cluster=local", cwd=tmp_path)
    assert (ended.code, ended.err) == (2, "Error: --launcher-option needs a --launcher.\n")


def test_slurm_is_not_taken_for_this_machine(tmp_path, monkeypatch):
    """Where there is no SLURM nothing runs, unless cluster=local says so."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="srun"):
        choose("slurm", RunSettings(storage="postgresql://me@db/studies"), [], tmp_path / "jobs")


# A job, and all of them


@pytest.fixture
def stored(tmp_path):
    """The tiny study with one of three trials."""
    tiny.run(tmp_path, search__trials=1)
    study = tiny.stored(tmp_path)
    study.study.set_user_attr("budget", 3)
    return study


def test_limits_count_from_the_start_of_the_run(stored):
    """A job that begins late, or again, has what is left of the time; one that begins too late does nothing."""
    job = Job.of(stored, RunSettings(results=stored.folder.results, time="10m"))
    assert job.why_over(stored) is None
    late = replace(job, since=job.since - 601)
    assert late.work(str(stored.storage.engine.url)) == Ended(
        0, "the time limit of 600 s is reached"
    )


def test_a_stopped_run_is_over_for_jobs_that_have_not_begun(stored):
    """`stop` reaches jobs that still wait for a machine, and none of a run that starts later."""
    before = Job.of(stored, RunSettings(results=stored.folder.results))
    stored.ask_to_stop(now=False)
    assert before.work(str(stored.storage.engine.url)).code == 130
    assert Job.of(stored, RunSettings(results=stored.folder.results)).why_over(stored) is None


def test_a_job_holds_no_password(stored):
    """What is carried to another machine has absolute paths, and no storage."""
    settings = RunSettings(
        results="somewhere", data="else", storage="postgresql://me:secret@db/studies", workers=4
    )
    job = Job.of(stored, settings)
    assert (job.settings.storage, job.settings.workers) == (None, None)
    assert job.settings.results.is_absolute()
    assert job.settings.data.is_absolute()


class Told(Launcher):
    """A cluster whose jobs have all ended as soon as they are submitted."""

    def __init__(self, *ended: Ended) -> None:
        self._ended = list(ended)
        self.closed = False

    def submit(self, _job, _storage, count):
        assert count == len(self._ended)

    def ended(self):
        return self._ended

    def cancel(self, *, waiting_only):  # noqa: ARG002
        raise AssertionError("nothing is left to cancel")

    def close(self):
        self.closed = True


@pytest.mark.parametrize(
    ("ended", "error", "words"),
    [
        ((Ended(None, "died"), Ended(None, "gone")), WorkerError, "died"),
        ((Ended(None, "died"), Ended(3, "data differs")), ReportedError, "data differs"),
        ((Ended(75, "stopped"), Ended(5, "5 in a row")), ReportedError, "5 in a row"),
    ],
)
def test_what_ends_all_jobs_ends_the_run(ended, error, words, stored):
    """An error that a worker reports is the run's, with its exit code; jobs that all died are an error too."""
    told = Told(*ended)
    settings = RunSettings(results=stored.folder.results, workers=2)
    with pytest.raises(error, match=words) as raised:
        run_jobs(stored, settings, told, Callback())
    assert raised.value.exit_code == {"died": 5, "data differs": 3, "5 in a row": 5}[words]
    assert told.closed


def test_a_limit_that_a_job_met_ends_the_run(stored):
    """What one job says when it ended in order is why the run ends, beside one that died."""
    told = Told(Ended(None, "died"), Ended(0, "the limit of 3 GPU hours is reached"))
    settings = RunSettings(results=stored.folder.results, workers=2)
    assert run_jobs(stored, settings, told, Callback()) == "the limit of 3 GPU hours is reached"


def test_a_done_study_submits_nothing(tmp_path):
    """Run again with a launcher, a finished study gives no job to the cluster."""
    tiny.run(tmp_path, search__trials=1)
    told = Told()  # would mind a job
    assert run_jobs(
        tiny.stored(tmp_path), RunSettings(results=tmp_path), told, Callback()
    ).startswith("1 of 1")


# SLURM


def test_jobs_that_wait_do_not_hold_up_the_end_of_a_run(tmp_path, postgres_url):
    """When the run is over its pending jobs are cancelled; SLURM got the URL in the environment, and no file has it."""
    write_study(tmp_path / "studies" / "tiny.yaml")
    path = fake_slurm(tmp_path / "slurm")
    words = (
        "run",
        "--study",
        "tiny",
        "--time",
        "1s",
        "--launcher",
        "slurm",
        "--launcher-option",
        "slurm_partition=gpu",
    )
    ended = call(*words, "--storage", with_password(postgres_url), cwd=tmp_path, env=path)
    assert (ended.code, "the time limit of 1 s is reached" in ended.err) == (0, True)
    assert (tmp_path / "slurm" / "cancelled").read_text() == "17\n"
    assert (
        f"BLADE_TUNE_STORAGE={with_password(postgres_url)}"
        in (tmp_path / "slurm" / "environment").read_text()
    )
    assert files_with(PASSWORD, tmp_path / "results") == []
    (script,) = (tmp_path / "results").rglob("*_submission.sh")
    assert {"#SBATCH --signal=USR2@120", "#SBATCH --partition=gpu", "#SBATCH --time=240"} <= set(
        script.read_text().split("\n")
    )


def test_an_error_of_a_job_is_the_error_of_the_run(tmp_path):
    """What a worker cannot do on its machine comes back as message and exit code."""
    write_study(tmp_path / "studies" / "tiny.yaml")
    ended = call("run", "--study", "tiny", *LOCAL, "--device", "cuda:7", cwd=tmp_path)
    assert (ended.code, ended.err.splitlines()[-1].startswith("Error: ")) == (2, True)
    assert status(tmp_path)["scored"] == 0


@pytest.mark.slow
def test_jobs_share_a_study(tmp_path, postgres_url):
    """Two jobs fill the budget exactly, their story is told, and no file of theirs has the password."""
    write_study(tmp_path / "studies" / "tiny.yaml", search={"trials": 5})
    storage = ("--storage", with_password(postgres_url))
    ended = finish(
        start("run", "--study", "tiny", *LOCAL, "--workers", "2", *storage, cwd=tmp_path)
    )
    assert (ended.code, ended.out) == (0, "")
    assert (
        ended.err.count(" started ")
        == ended.err.count(" complete ") + ended.err.count(" pruned ")
        == 5
    )
    assert "\nstudy=tiny ended: 5 of 5 trials are scored\n" in ended.err
    assert len(list((tmp_path / "results/tiny/jobs").glob("*/*_result.pkl"))) == 2
    assert files_with(PASSWORD, tmp_path) == []


@pytest.mark.slow
def test_a_preempted_job_is_queued_again(tmp_path):
    """At submitit's warning a job stores its trial and comes back; the trial goes on from its checkpoint."""
    write_study(
        tmp_path / "studies" / "tiny.yaml", train={**LONG, "max_epochs": 60}, search={"trials": 1}
    )
    process = start("run", "--study", "tiny", *LOCAL, cwd=tmp_path)
    read_until(process, " started ")
    (task,) = [
        p
        for p in psutil.Process(process.pid).children(recursive=True)
        if "submitit.core._submit" in p.cmdline()
    ]
    task.send_signal(signal.SIGUSR2)
    ended = finish(process)
    assert (ended.code, "scored=1/1" in ended.err) == (0, True)
    assert tiny.rows(tmp_path / "results") == [("FAIL", "interrupted"), ("COMPLETE", "")]
    (out,) = (tmp_path / "results/tiny/jobs").glob("*/*_log.out")
    assert "Requeued job" in out.read_text() + next(out.parent.glob("*_log.err")).read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_ends_every_job(number, code, tmp_path):
    """The process that submitted has the jobs store their trials, waits for them, and ends as a run does.

    A terminal's Ctrl-C, which reaches local jobs too, is no other.
    """
    write_study(tmp_path / "studies" / "tiny.yaml", train=LONG, search={"trials": 2})
    process = start(
        "run", "--study", "tiny", *LOCAL, "--workers", "2", cwd=tmp_path, start_new_session=True
    )
    read_until(process, " started ")
    send = os.killpg if number == signal.SIGINT else os.kill
    send(process.pid, number)
    assert_stopped(finish(process), code, tmp_path)


def assert_stopped(ended: Program, code: int, cwd: Path, *storage: str) -> None:
    """The run ended in order, and each trial that ran is queued."""
    assert (ended.code, ended.err.splitlines()[-1]) == (code, f"Error: {STOPPED}")
    assert "Traceback" not in ended.err
    trials = status(cwd, *storage)["trials"]
    done = {"complete": trials["complete"]}  # before the fleet heard of it
    assert trials == {
        **dict.fromkeys(trials, 0),
        **done,
        "continued": trials["waiting"],
        "waiting": trials["waiting"],
    }
    assert trials["waiting"] >= 1


# Ray


@pytest.fixture
def ray_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where Ray writes, its sockets' paths must be short; the program has a network of its own, if this user may."""
    with tempfile.TemporaryDirectory(prefix="blade-tune-ray-") as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        alone = Path(folder) / "alone"
        alone.write_text(
            '#!/bin/sh\nexec unshare -n sh -c \'ip link set lo up && exec "$@"\' alone "$@"\n'
        )
        alone.chmod(stat.S_IRWXU)
        if subprocess.run([alone, "true"], capture_output=True, check=False).returncode == 0:
            alone.write_text(
                alone.read_text().replace(' alone "$@"', f' alone {program.PROGRAM} "$@"')
            )
            monkeypatch.setattr(program, "PROGRAM", str(alone))
        yield Path(folder)


@pytest.mark.slow
def test_ray_actors_share_a_study(tmp_path, ray_folder, postgres_url):
    """Two actors stop in order at a SIGTERM, and fill the budget when run again; no file has the password."""
    write_study(
        tmp_path / "studies" / "tiny.yaml", train={**LONG, "max_epochs": 100}, search={"trials": 2}
    )
    storage = ("--storage", with_password(postgres_url))
    words = (
        "run",
        "--study",
        "tiny",
        "--launcher",
        "ray",
        "--workers",
        "2",
        "--launcher-option",
        "num_cpus=0.5",
    )
    # The database is asked about every two seconds; on a busy machine a shorter grace period ran out
    words += ("--heartbeat-s", "0.5", "--grace-s", "8")
    process = start(*words, *storage, cwd=tmp_path)
    read_until(process, " started ")
    process.terminate()
    assert_stopped(finish(process), 75, tmp_path, *storage)
    ended = finish(start(*words, *storage, cwd=tmp_path))
    assert (ended.code, ended.out) == (0, "")
    assert "\nstudy=tiny ended: 2 of 2 trials are scored\n" in ended.err
    assert files_with(PASSWORD, ray_folder) == files_with(PASSWORD, tmp_path) == []
