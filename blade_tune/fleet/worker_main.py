"""The worker process, `python -m blade_tune.fleet.worker_main`, started by a supervisor.

Its configuration comes on the first line of the standard input, which the supervisor holds open. When that closes, the
supervisor is gone, and the worker stops as if asked to; where it hangs, it is ended after the grace period.
"""

import logging
import os
import signal
import sys
import threading
import time

from blade_tune.errors import BladeTuneError
from blade_tune.fleet.messages import LogToEvents, MessageWriter
from blade_tune.fleet.worker import Worker
from blade_tune.fleet.worker_config import WorkerConfig
from blade_tune.storage.connect import OUTAGE_S, storage_errors
from blade_tune.study.workspace import Workspace
from blade_tune.trial.signals import StopSignals


def main() -> None:
    """Work until the study needs no more trials; the exit code is that of errors.py."""
    config = WorkerConfig.model_validate_json(sys.stdin.readline())
    writer = MessageWriter(os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8"))
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no event
    logger = logging.getLogger("blade_tune")
    logger.setLevel(logging.INFO)
    logger.addHandler(LogToEvents(writer))
    with StopSignals(insisting=(signal.SIGINT,)).listening() as signals:
        threading.Thread(target=_end_with_supervisor, args=(config.grace_s,), daemon=True).start()
        code, why = 0, ""
        try:
            with storage_errors(config.url):
                stored = Workspace(config.url, config.results).study(config.study, outage_s=OUTAGE_S)
                why = Worker(stored, config, writer, signals).run()
        except BladeTuneError as error:
            code, why = error.exit_code, str(error)
    writer.ended(code, why)
    sys.exit(code)


def _end_with_supervisor(grace_s: float) -> None:
    while sys.stdin.readline():
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_s)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
