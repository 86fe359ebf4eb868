"""A worker's hold on one trial: renewed from a thread, and gone when the trial was given to another."""

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
    """Renews an attempt inside a `with` block, and releases it at the end.

    Args:
        attempts: the study's.
        attempt_id: from `Attempts.claim`.
        heartbeat_s: between two renewals.
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
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        is_away = isinstance(error, StorageInternalError | SQLAlchemyError)
        if not is_away:  # else the attempt is found stale
            self._attempts.release(self._attempt_id)

    def link(self, trial_number: int) -> None:
        """Say which trial fills the slot.

        Raises:
            LeaseLostError: the slot was taken away, since this process was silent for too long.
        """
        if not self._attempts.link(self._attempt_id, trial_number):
            raise LeaseLostError("the slot was given to another worker.")

    def check(self) -> None:
        """Make sure that the trial is still this worker's.

        A process that was stopped for a while asks the database before it believes so.

        Raises:
            LeaseLostError: it is not.
        """
        if not self._lost and time.monotonic() - self._renewed > 2 * self._heartbeat_s:
            self._renew()
        if self._lost:
            raise LeaseLostError("the trial was given to another worker.")

    def _beat(self) -> None:
        while not self._ended.wait(self._heartbeat_s) and not self._lost:
            self._renew()

    def _renew(self) -> None:
        try:
            self._lost = not self._attempts.renew(self._attempt_id)
            self._renewed = time.monotonic()
        except (SQLAlchemyError, StorageInternalError) as error:  # nobody can take the trial away meanwhile either
            log.warning("heartbeat failed, to be tried again: %s", type(error).__name__)
