"""The start of worker processes: forked by a warm fork server on a CPU, and by an interpreter of their own on a GPU."""

import os
import subprocess
import sys
from collections.abc import Iterable

from blade_tune.fleet.devices import Placement
from blade_tune.fleet.fork_server import ForkedProcess, ForkServer
from blade_tune.models import MODELS

MODULE = "blade_tune.fleet.worker_main"
# Modules that a worker imports only when it opens the database, measures baselines and begins its first trial.
LATE = (
    "alembic.command",
    "blade_tune.models.item_factors",
    "blade_tune.models.item_knn",
    "blade_tune.models.popularity",
    "scipy.sparse.linalg",
    "torch._dynamo",  # by torch's optimizers
)


class WorkerStarter:
    """Starts the worker processes of a run.

    A CUDA context does not survive a fork, and other systems than Linux do not fork safely, so fork servers are for
    CPUs on Linux. A fork server that has died is replaced by another.

    Args:
        model: the name of the study's model, whose modules are imported before the first worker starts.
    """

    def __init__(self, model: str) -> None:
        self._modules = [MODELS[model].partition(":")[0], *LATE]
        self._servers: dict[
            int, ForkServer
        ] = {}  # by number of CPU threads, which is settled at import

    def warm(self, placements: Iterable[Placement]) -> None:
        """Begin the imports for workers that will start soon.

        Raises:
            OSError: a process cannot be started.
        """
        for placement in placements:
            if _can_fork(placement):
                self._server(placement)

    def start(self, placement: Placement) -> "subprocess.Popen[str] | ForkedProcess":
        """Start a worker process with a session of its own, which waits for its configuration.

        Raises:
            OSError: the process cannot be started.
        """
        environment = _environment(placement)
        if _can_fork(placement):
            return self._server(placement).fork(environment)
        pipe = subprocess.PIPE
        return subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", MODULE],
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=environment,
            start_new_session=True,
        )

    def close(self) -> None:
        """End the fork servers; workers that still run go on."""
        for server in self._servers.values():
            server.close()

    def _server(self, placement: Placement) -> ForkServer:
        server = self._servers.get(placement.threads)
        if server is None or server.is_gone:
            server = ForkServer(self._modules, _environment(placement))
            self._servers[placement.threads] = server
        return server


def _can_fork(placement: Placement) -> bool:
    return placement.device == "cpu" and sys.platform == "linux"


def _environment(placement: Placement) -> dict[str, str]:
    """Return the environment variables of a worker, which sees its own device only."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(placement.threads)}
    environment["CUDA_VISIBLE_DEVICES"] = placement.visible
    environment.pop("BLADE_TUNE_STORAGE", None)  # may hold a password; the configuration has it
    return environment
