"""The worker process: `python -m blade_tune.fleet.child`, started by a supervisor, which holds its standard input.

The order comes on the first line of the standard input. When that closes, the supervisor is gone, and the worker stops
as if asked to; where it hangs, it is ended after the grace period.
"""

import logging
import os
import signal
import sys
import threading
import time

from blade_tune.errors import BladeTuneError
from blade_tune.fleet.events import EventWriter, LogToEvents
from blade_tune.fleet.order import Order
from blade_tune.fleet.worker import Worker
from blade_tune.study.signals import StopSignals
from blade_tune.study.storage import OUTAGE_S, storage_errors
from blade_tune.study.workspace import Workspace


def main() -> None:
    """Work until the study needs no more trials; the exit code is that of errors.py."""
    order = Order.model_validate_json(sys.stdin.readline())
    writer = EventWriter(os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8"))
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no event
    logger = logging.getLogger("blade_tune")
    logger.setLevel(logging.INFO)
    logger.addHandler(LogToEvents(writer))
    with StopSignals(insisting=(signal.SIGINT,)).listening() as signals:
        threading.Thread(target=_end_with_supervisor, args=(order.grace_s,), daemon=True).start()
        code, why = 0, ""
        try:
            with storage_errors(order.url):
                stored = Workspace(order.url, order.results).study(order.study, outage_s=OUTAGE_S)
                why = Worker(stored, order, writer, signals).run()
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
