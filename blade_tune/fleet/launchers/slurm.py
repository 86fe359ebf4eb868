"""The SLURM launcher, which submits jobs through the package submitit."""

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blade_tune.errors import ConfigError, PreemptedError
from blade_tune.fleet.launchers.base import Launcher, require
from blade_tune.fleet.launchers.job import Ended, Job
from blade_tune.fleet.settings import RunSettings
from blade_tune.storage.connect import POSTGRES, SQLITE

# The variable with the database's URL; SLURM passes the environment of `sbatch` on to the job.
STORAGE = "BLADE_TUNE_STORAGE"
DEFAULTS = {"name": "blade-tune", "timeout_min": 240, "slurm_signal_delay_s": 120}
NOT_OURS = ("nodes", "tasks_per_node")  # a job is one task; `workers` says how many there are
# How often a job that reaches its time limit is queued again; meant as no limit.
MAX_REQUEUES = 10_000
ENDED_BY_SLURM_S = 900.0  # seconds that a job waits, after a SIGTERM, for SLURM to end it


@dataclass(frozen=True)
class SlurmTask:
    """A job as submitit calls it, with the handling of preemption and of the job's time limit."""

    job: Job

    def __call__(self) -> Ended:
        """Do the job, and return how it ended.

        Some time before SLURM ends a job, submitit's signal comes as a warning. The job's trials are stored then, and
        submitit's own handler queues the job again. A SIGTERM without a warning comes from `scancel`, or from SLURM
        when it queues the job again by itself; the latter happens only to a job that has not ended by then, so this
        method waits to be ended.
        """
        import submitit

        warning = getattr(signal, f"SIG{submitit.JobEnvironment.USR_SIG}")
        warnings: list[int] = []

        def stop(number: int, _: object) -> None:
            warnings.append(number)
            # The run below handles it: trials are stored, then it ends.
            signal.raise_signal(signal.SIGTERM)

        queue_again: Any = signal.signal(warning, stop)
        ended = self.job.work(os.environ[STORAGE])
        if ended.code == PreemptedError.exit_code:
            if warnings:
                queue_again(warning, None)  # submitit's own handler; it ends the process
            time.sleep(ENDED_BY_SLURM_S)
        return ended

    def checkpoint(self) -> Any:
        """Return what submitit queues again: this task unchanged, since trials have their own checkpoints."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)


class Slurm(Launcher):
    """A launcher that submits an array of SLURM jobs, or, with the option `cluster=local`, processes on this machine.

    All other options are those of submitit's `AutoExecutor.update_parameters`.
    """

    def __init__(self, settings: RunSettings, options: Mapping[str, Any], folder: Path) -> None:
        self._submitit: Any = require("submitit", "slurm")
        parameters = dict(options)
        cluster = parameters.pop("cluster", "slurm")
        if cluster not in ("slurm", "local"):
            raise ConfigError(f"--launcher-option cluster must be slurm or local, got {cluster!r}.")
        if refused := sorted(parameters.keys() & set(NOT_OURS)):
            raise ConfigError(
                f"--launcher-option {refused[0]} is not to be set: a job is one task, --workers are jobs."
            )
        if cluster != "local" and settings.workspace.url.drivername == SQLITE:
            raise ConfigError(
                f"--launcher slurm needs a database that every node reaches, got a SQLite file; give --storage "
                f"{POSTGRES}://USER@HOST/DATABASE."
            )
        limits = {f"{name}_max_num_timeout": MAX_REQUEUES for name in ("slurm", "local")}
        try:
            self._executor = self._submitit.AutoExecutor(folder.resolve() / "%j", cluster, **limits)
            self._executor.update_parameters(**{**DEFAULTS, **parameters})
        except (AssertionError, NameError, RuntimeError, TypeError, ValueError) as error:
            raise ConfigError(f"--launcher slurm: {error}") from None
        self._jobs: list[Any] = []
        self._ended: dict[str, Ended] = {}

    def submit(self, job: Job, storage: str, count: int) -> None:
        """Submit an array of `count` jobs, with the database's URL in their environment."""
        variables = self._submitit.core.utils.environment_variables
        # Local jobs inherit that SIGINT is ignored: a Ctrl-C in the terminal must reach this process only.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with variables(**{STORAGE: storage}), self._executor.batch():
                self._jobs = [self._executor.submit(SlurmTask(job)) for _ in range(count)]
        except self._submitit.core.utils.FailedSubmissionError as error:  # what sbatch said
            raise ConfigError(f"--launcher slurm: {error}") from None
        finally:
            signal.signal(signal.SIGINT, before)

    def ended(self) -> list[Ended]:
        """Return how jobs ended, by the result files that submitit writes."""
        for job in self._jobs:
            if job.job_id not in self._ended and job.done():
                self._ended[job.job_id] = self._end_of(job)
        return list(self._ended.values())

    def cancel(self, *, waiting_only: bool) -> None:
        """Cancel all jobs, or those that are pending, by `scancel`."""
        left = [job for job in self._jobs if job.job_id not in self._ended]
        if waiting_only and left:
            left[0].get_info(mode="force")  # updates the state of all jobs
            left = [job for job in left if job.state == "PENDING"]
        for job in left:
            job.cancel(check=False)
            self._ended[job.job_id] = Ended(None, f"job {job.job_id} was cancelled")

    def close(self) -> None:
        """Forget the jobs; any that still run go on by themselves."""
        self._jobs.clear()

    def _end_of(self, job: Any) -> Ended:
        try:
            ended: Ended = job.result()
        except self._submitit.core.utils.UncompletedJobError:
            # The error is not quoted, since its message contains the whole log.
            why = f"job {job.job_id} died ({job.state}); its log is {job.paths.stderr}"
            return Ended(None, why)
        return ended
