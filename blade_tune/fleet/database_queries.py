"""What a supervisor asks the database, without ever waiting for it for long."""

import logging
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from blade_tune.storage.optuna_storage import reason_of

log = logging.getLogger(__name__)

T = TypeVar("T")

ANSWER_S = 5.0  # a database that says nothing for longer is away


class BoundedQueries:
    """Asks one thing at a time, from a thread: a database may refuse, and it may hang.

    While it is away the workers wait for it themselves, so that it is no reason to leave them alone.

    Args:
        on_outage: called when a question is not answered.
    """

    def __init__(self, on_outage: Callable[[], None]) -> None:
        self._on_outage = on_outage
        self._thread: threading.Thread | None = None
        self._is_away = False

    def ask(self, call: Callable[[], T]) -> T | None:
        """What `call` gives, or None where the database is away or still busy with an earlier question."""
        if self._thread is not None and self._thread.is_alive():
            return None
        answers: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=_answer, args=(call, answers), name="queries", daemon=True)
        self._thread.start()
        try:
            answer, error = answers.get(timeout=ANSWER_S)
        except queue.Empty:
            self._note_outage(f"no answer for {ANSWER_S:.0f} s")
            return None
        self._thread.join()
        if error is None:
            self._is_away = False
            return answer
        if not isinstance(error, StorageInternalError | SQLAlchemyError):
            raise error
        self._note_outage(reason_of(error))
        return None

    def _note_outage(self, reason: str) -> None:
        if not self._is_away:
            log.warning("storage is away (%s); workers wait for it", reason)
        self._is_away = True
        self._on_outage()


def _answer(call: Callable[[], T], answers: "queue.SimpleQueue[tuple[T | None, Exception | None]]") -> None:
    try:
        answers.put((call(), None))
    except Exception as error:
        answers.put((None, error))
