"""The Ray launcher: runs each job as an actor of a Ray cluster, or of a local Ray that it starts."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from blade_tune.errors import ConfigError
from blade_tune.fleet.launchers.base import Launcher, require
from blade_tune.fleet.launchers.job import Ended, Job
from blade_tune.fleet.settings import RunSettings
from blade_tune.storage.connect import POSTGRES, SQLITE

DEFAULTS = {"num_cpus": 1, "max_restarts": 5}


class RayWorker:
    """The actor that does a job, in a process on some machine of the cluster."""

    def work(self, job: Job, storage: str) -> Ended:
        """Train on the actor's machine until the run is over, and return how it ended."""
        return job.work(storage)


class Ray(Launcher):
    """A launcher with one Ray actor per worker, each with its CPUs and its part of a GPU.

    The environment variable `RAY_ADDRESS` names the cluster; without it, Ray is started on this machine. The options
    are those of `DEFAULTS`.
    """

    def __init__(self, settings: RunSettings, options: Mapping[str, Any], folder: Path) -> None:  # noqa: ARG002
        # Without this Ray reports usage to its makers.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self._ray: Any = require("ray", "ray")
        # Whether Ray can do what is asked for
        unknown = options.keys() - DEFAULTS.keys()
        if unknown or not all(isinstance(value, int | float) for value in options.values()):
            raise ConfigError(
                f"--launcher ray has the options {', '.join(DEFAULTS)}, which are numbers, got {dict(options)}."
            )
        if settings.per_gpu == "auto":
            raise ConfigError(
                "--launcher ray needs the share of a GPU before it places a worker; give --per-gpu K."
            )
        self._ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        is_local_file = settings.workspace.url.drivername == SQLITE
        if is_local_file and len(self._ray.nodes()) > 1:
            raise ConfigError(
                f"--launcher ray: this cluster has several machines, which need a database that each reaches; give "
                f"--storage {POSTGRES}://USER@HOST/DATABASE."
            )
        has_gpu = self._ray.cluster_resources().get("GPU", 0) > 0
        on_gpu = settings.device.startswith("cuda") or (settings.device == "auto" and has_gpu)
        if on_gpu and not has_gpu:
            raise ConfigError(f"--device {settings.device}: this Ray cluster has no GPU.")
        self._share = 1 / (settings.per_gpu or 1) if on_gpu else 1.0
        self._options = {**DEFAULTS, **options, "num_gpus": self._share if on_gpu else 0}
        # Keys are the references to the future results of the actors' work.
        self._members: dict[Any, Any] = {}  # the actors
        self._ready: dict[Any, Any] = {}  # references that are fulfilled once an actor runs
        self._ended: dict[Any, Ended] = {}

    def submit(self, job: Job, storage: str, count: int) -> None:
        """Create `count` actors with the job, which begin as the cluster has room for them.

        The URL is an argument of a remote call, which Ray holds in memory.
        """
        settings = job.settings.model_copy(update={"workers": 1, "per_gpu": None})
        job = replace(job, settings=settings, share=self._share)
        # A restarted actor repeats its work.
        retries = {"max_task_retries": self._options["max_restarts"]}
        actor = self._ray.remote(**self._options, **retries)(RayWorker)
        for _ in range(count):
            member = actor.remote()
            ready = member.__ray_ready__.remote()
            work = member.work.remote(job, storage)
            self._members[work] = member
            self._ready[work] = ready

    def ended(self) -> list[Ended]:
        """Return the results of the actors that have ended; one that died has no exit code."""
        for work in self._fulfilled(self._left()):
            try:
                self._ended[work] = self._ray.get(work)
            except self._ray.exceptions.RayError as error:
                first_line = str(error).strip().splitlines()[0]
                self._ended[work] = Ended(None, f"an actor died: {first_line}")
        return list(self._ended.values())

    def cancel(self, *, waiting_only: bool) -> None:
        """Kill all actors, or those that do not run yet; their workers notice and end by themselves."""
        left = self._left()
        begun = []
        if waiting_only:
            begun = self._fulfilled([self._ready[work] for work in left])
        for work in left:
            if self._ready[work] not in begun:
                self._ray.kill(self._members[work])
                self._ended[work] = Ended(None, "an actor was cancelled")

    def close(self) -> None:
        """Disconnect from the cluster; a Ray that was started on this machine is stopped."""
        self._ray.shutdown()

    def _left(self) -> list[Any]:
        return [work for work in self._members if work not in self._ended]

    def _fulfilled(self, references: list[Any]) -> list[Any]:
        """Return the references that are fulfilled by now, without waiting."""
        if not references:
            return []
        fulfilled, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
        return list(fulfilled)
