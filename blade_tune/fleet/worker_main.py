"""Entry point of a worker process, `python -m blade_tune.fleet.worker_main`, which a supervisor starts.

The worker reads its configuration from the first line of its standard input, and writes events to its standard output
(see messages.py). The supervisor holds the standard input open for as long as it lives. When it closes, the worker
stops as if it were asked to, so that no worker outlives its supervisor; one that hangs is killed after the grace
period.
"""

import logging
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from blade_tune.errors import BladeTuneError
from blade_tune.fleet.messages import LogToMessages, MessageWriter
from blade_tune.fleet.worker import Worker
from blade_tune.fleet.worker_config import WorkerConfig
from blade_tune.storage.connect import OUTAGE_S, storage_errors
from blade_tune.study.workspace import Workspace
from blade_tune.trial.signals import StopSignals

NAME = "blade-worker"  # of the process; the system keeps 15 characters


def main() -> None:
    """Run a worker and exit with 0, or with the exit code of the error that ended it (see errors.py)."""
    _name_process()
    config = WorkerConfig.model_validate_json(sys.stdin.readline())
    events = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    writer = MessageWriter(events)
    # What a library prints must not be read as an event.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    logger = logging.getLogger("blade_tune")
    logger.setLevel(logging.INFO)
    logger.addHandler(LogToMessages(writer))
    # A SIGTERM to the whole process group arrives twice, once through the supervisor, and must not count as insistence.
    with StopSignals(insisting=(signal.SIGINT,)).listening() as signals:
        threading.Thread(target=_end_with_supervisor, args=(config.grace_s,), daemon=True).start()
        try:
            with storage_errors(config.url):
                workspace = Workspace(config.url, config.results)
                stored = workspace.study(config.study, outage_s=OUTAGE_S)
                why = Worker(stored, config, writer, signals).run()
                code = 0
        except BladeTuneError as error:
            why = str(error)
            code = error.exit_code
    writer.ended(code, why)
    sys.exit(code)


def _name_process() -> None:
    """Give the process a name in `ps -e` and `top`, where a forked one has the arguments of its fork server."""
    with suppress(OSError):  # not Linux
        Path("/proc/self/comm").write_text(NAME, encoding="ascii")


def _end_with_supervisor(grace_s: float) -> None:
    """Wait for the end of the standard input, then stop this process, by force after `grace_s` seconds."""
    while sys.stdin.readline():
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_s)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
