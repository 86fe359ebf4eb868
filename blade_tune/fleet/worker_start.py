"""The start of worker processes: forked by a warm fork server on a CPU, and by an interpreter of their own on a GPU."""

import atexit
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress

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
# Prefixes of the environment variables that matter when modules are imported.
AT_IMPORT = ("CUDA", "LD_", "MKL_", "OMP_", "OPENBLAS_", "PYTHON", "TORCH")

# The fork servers of this process, which all its runs share, by the variables that were set at their imports.
_servers: dict[tuple[tuple[str, str], ...], ForkServer] = {}


def warm(placement: Placement, model: str) -> None:
    """Begin the imports for workers that will start soon, unless a fork server has made them.

    Args:
        placement: where the workers will train.
        model: the name of the study's model.
    """
    with suppress(OSError):  # no process can be started now; `start` tries again
        if _can_fork(placement):
            _server(_environment(placement), model)


def start(placement: Placement, model: str) -> "subprocess.Popen[str] | ForkedProcess":
    """Start a worker process with a session of its own, which waits for its configuration.

    A CUDA context does not survive a fork, and other systems than Linux do not fork safely, so fork servers are for
    CPUs on Linux. One that has died is replaced by another.

    Args:
        placement: the device that the worker trains on.
        model: the name of the study's model.

    Raises:
        OSError: the process cannot be started.
    """
    environment = _environment(placement)
    if _can_fork(placement):
        return _server(environment, model).fork(environment)
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


def _server(environment: Mapping[str, str], model: str) -> ForkServer:
    key = tuple(sorted(item for item in environment.items() if item[0].startswith(AT_IMPORT)))
    server = _servers.get(key)
    if server is None or server.is_gone:
        module = MODELS[model].partition(":")[0]
        server = ForkServer([module, *LATE], environment)
        atexit.register(server.close)
        _servers[key] = server
    return server


def _can_fork(placement: Placement) -> bool:
    return placement.device == "cpu" and sys.platform == "linux"


def _environment(placement: Placement) -> dict[str, str]:
    """Return the environment variables of a worker, which sees its own device only."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(placement.threads)}
    environment["CUDA_VISIBLE_DEVICES"] = placement.visible
    environment.pop("BLADE_TUNE_STORAGE", None)  # may hold a password; the configuration has it
    return environment
