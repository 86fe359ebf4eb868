"""Leases: a worker's hold on one trial, renewed by heartbeats from a thread of its own.

A worker that falls silent for longer than the grace period loses its trial to another worker (`recovery`). If it was
only suspended for a while, `Lease.check` tells it so.
"""

import logging
import threading
import time
from types import TracebackType
from typing import Self

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from blade_tune.errors import LeaseLostError
from blade_tune.storage.attempts import Attempts

log = logging.getLogger(__name__)


class Lease:
    """A context manager that renews an attempt from a thread inside a `with` block, and releases it at the end.

    Args:
        attempts: the attempts of the study.
        attempt_id: the attempt to renew, from `Attempts.claim`.
        heartbeat_s: seconds between two renewals.
    """

    def __init__(self, attempts: Attempts, attempt_id: str, heartbeat_s: float) -> None:
        self._attempts = attempts
        self._attempt_id = attempt_id
        self._heartbeat_s = heartbeat_s
        self._renewed = time.monotonic()
        self._lost = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        is_away = isinstance(error, StorageInternalError | SQLAlchemyError)
        # Where the database failed, releasing would fail too, or wait; recovery finds the attempt silent and ends it.
        if not is_away:
            self._attempts.release(self._attempt_id)

    def link(self, trial_number: int) -> None:
        """Record which trial fills the slot.

        Raises:
            LeaseLostError: the slot was taken away because this process was silent for too long.
        """
        if not self._attempts.link(self._attempt_id, trial_number):
            raise LeaseLostError("the slot was given to another worker.")

    def check(self) -> None:
        """Make sure that the trial still belongs to this worker.

        Usually the heartbeat thread knows, and the check costs nothing. A process that was suspended has missed
        heartbeats, so it asks the database first.

        Raises:
            LeaseLostError: the trial was given to another worker.
        """
        if not self._lost and time.monotonic() - self._renewed > 2 * self._heartbeat_s:
            self._renew()
        if self._lost:
            raise LeaseLostError("the trial was given to another worker.")

    def _beat(self) -> None:
        """Renew the attempt at every heartbeat until the block ends or the attempt is lost; run by the thread."""
        while not self._ended.wait(self._heartbeat_s) and not self._lost:
            self._renew()

    def _renew(self) -> None:
        try:
            self._lost = not self._attempts.renew(self._attempt_id)
            self._renewed = time.monotonic()
        except (SQLAlchemyError, StorageInternalError) as error:
            # Harmless: while the database is away, no other process can take the trial either.
            log.warning("heartbeat failed, to be tried again: %s", type(error).__name__)
