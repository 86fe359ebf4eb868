"""Database queries with a bounded wait, so that a supervisor stays responsive while the database is unreachable."""

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

ANSWER_S = 5.0  # seconds without an answer after which the database counts as unreachable


class BoundedQueries:
    """Runs one database query at a time, each in a thread, and waits at most `ANSWER_S` seconds for its result.

    A database may refuse a connection, and it may also hang without an error; only a thread can be left behind then.
    Workers wait for the database by themselves during an outage, and the supervisor has to look after them meanwhile.

    Args:
        on_outage: called whenever a query fails or does not return in time.
    """

    def __init__(self, on_outage: Callable[[], None]) -> None:
        self._on_outage = on_outage
        self._thread: threading.Thread | None = None
        self._is_away = False

    def ask(self, call: Callable[[], T]) -> T | None:
        """Return the result of a query, or None during an outage or while an earlier query still runs.

        Args:
            call: the query; exceptions of it that are not the database's are raised here.
        """
        if self._thread is not None and self._thread.is_alive():
            return None
        answers: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=_answer, args=(call, answers), name="queries", daemon=True
        )
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


def _answer(
    call: Callable[[], T], answers: "queue.SimpleQueue[tuple[T | None, Exception | None]]"
) -> None:
    """Put the result of a query, or its exception, into a queue."""
    try:
        answers.put((call(), None))
    except Exception as error:
        answers.put((None, error))
