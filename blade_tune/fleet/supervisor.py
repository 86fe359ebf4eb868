"""The supervisor: keeps workers at a study, ends those that hang, replaces those that die, and knows when to stop."""

import logging
import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from blade_tune.errors import InterruptedStudyError, ReportedError, WorkerError, WorkerSpentError
from blade_tune.fleet.child_process import ChildProcess, Event
from blade_tune.fleet.devices import Place
from blade_tune.fleet.events import dispatch
from blade_tune.fleet.order import Order
from blade_tune.fleet.worker import clean, why_done
from blade_tune.study.observer import Observer, Standing
from blade_tune.study.recovery import MAX_RETRIES, Recovery
from blade_tune.study.safe_storage import reason_of
from blade_tune.study.signals import StopSignals
from blade_tune.study.stored import StoredStudy

log = logging.getLogger(__name__)

TICK_S = 0.2
SWEEP_S = 5.0  # at most; a grace period of seconds asks for more
BACKOFF_S, MAX_BACKOFF_S = 0.5, 60.0
MAX_DEATHS = MAX_RETRIES + 2  # in a row without an epoch: one trial is given up before, so it is not a trial
KILL_AFTER_S = 5.0  # what was asked twice to stop at once
FATAL = (1, 2, 3, 4, 5)  # exit codes that any other worker would end with too
PREEMPTED = (75, 130)


@dataclass(frozen=True)
class Limits:
    """When a run ends before its study does."""

    time_s: float | None = None
    trial_time_s: float | None = None
    gpu_hours: float | None = None  # of the study in all


@dataclass
class Slot:
    """One worker's place, through all the processes that fill it."""

    place: Place
    process: ChildProcess | None = None
    start_at: float = 0.0
    deaths: int = 0
    is_done: bool = False


class Supervisor:
    """Runs workers on a stored study until it needs no more trials.

    Args:
        stored: the study.
        order: what workers do; each gets the device of its place.
        places: one a worker.
        limits: when to end early.
        observer: hears what workers tell.
        signals: of this process.
    """

    def __init__(
        self,
        stored: StoredStudy,
        order: Order,
        places: list[Place],
        limits: Limits,
        observer: Observer,
        signals: StopSignals,
    ) -> None:
        self.stored = stored
        self.order = order
        self.limits = limits
        self.observer = observer
        self.signals = signals
        self.slots = [Slot(place) for place in places]
        self.recovery = Recovery(stored.storage, stored.study, stored.attempts, order.grace_s)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._started = time.monotonic()
        self._started_db = stored.attempts.now()
        self._swept = 0.0
        self._stopping: str | None = None  # why
        self._stop_by: float | None = None  # then what still runs is killed
        self._error: BaseException | None = None
        self._why = ""
        self._is_away = False

    def run(self) -> str:
        """Keep the workers going; gives why there is nothing left to do.

        Raises:
            InterruptedStudyError: a signal or `blade-tune stop` ended the run; what ran is queued.
            TooManyFailuresError, StorageError and so on: as a worker said.
        """
        self._sweep()
        if why := why_done(self.stored):
            return why
        try:
            while not all(slot.is_done for slot in self.slots):
                try:
                    self._tick()
                except KeyboardInterrupt:  # the second signal
                    self._stop("stopped", within_s=KILL_AFTER_S)
        finally:
            for slot in self.slots:
                if slot.process is not None:
                    slot.process.kill()
        self._handle_events()
        self._sweep()
        if self._error is not None:
            raise self._error
        return self._stopping or self._why

    def _tick(self) -> None:
        self._handle_events(TICK_S)
        now = time.monotonic()
        for slot in self.slots:
            if slot.process is not None:
                self._look_after(slot, slot.process, now)
            elif not slot.is_done and (self._stopping or now >= slot.start_at):
                self._start(slot)
        if self.signals and self._stopping is None:
            self._error = self.signals.error()
            log.warning("signal=%s stopping after this epoch; a second one stops now", self.signals.name)
            self._stop("stopped")
        if self._stop_by is not None and now > self._stop_by:
            for slot in self.slots:
                if slot.process is not None:
                    slot.process.kill()
        if self.limits.time_s is not None and now - self._started > self.limits.time_s and self._stopping is None:
            self._stop(f"the time limit of {self.limits.time_s:.0f} s is reached", within_s=self.order.grace_s)
        if now - self._swept > min(SWEEP_S, self.order.grace_s / 4):
            self._sweep()
            self._check_study()

    def _start(self, slot: Slot) -> None:
        if self._stopping:
            slot.is_done = True
        else:
            order = self.order.model_copy(update={"device": slot.place.device, "share": slot.place.share})
            slot.process = ChildProcess(slot.place, order, self._events)

    def _look_after(self, slot: Slot, process: ChildProcess, now: float) -> None:
        """Notice that a worker hangs or has ended."""
        limit = self.limits.trial_time_s
        if limit is not None and process.trial is not None and now - process.trial_started > limit:
            process.kill()
            self._handle_events()
            if process.trial is not None:
                self._time_out(process.trial, limit)
                process.trial = None
                slot.deaths = -1  # it did not die of itself
        code = process.poll()
        if code is None:
            return
        self._handle_events()
        slot.process = None
        self._sweep()
        if code == 0:
            self._why, slot.is_done = process.last_word or "", True
        elif code in FATAL and process.last_word is not None:
            slot.is_done = True
            if self._error is None:
                self._error = ReportedError(process.last_word, code)
                self._stop("failed")
        elif code != WorkerSpentError.exit_code and not (code in PREEMPTED and self._stopping):
            self._bury(slot, process, code, now)

    def _bury(self, slot: Slot, process: ChildProcess, code: int, now: float) -> None:
        """Replace a worker that died, later and later where that does not help."""
        if process.trial is not None:
            self.observer.trial_lost(process.trial)
        if self._stopping:
            return
        slot.deaths = 1 if process.has_trained else slot.deaths + 1
        if slot.deaths >= MAX_DEATHS and self._error is None:
            words = f"{slot.deaths} workers in a row ended before one epoch, the latest: {process.describe_end(code)}"
            self._error = WorkerError(words)
            self._stop("failed")
        wait = min(MAX_BACKOFF_S, BACKOFF_S * 2.0 ** max(0, slot.deaths - 1)) if slot.deaths > 0 else 0.0
        slot.start_at = now + wait
        log.warning(
            "worker=%d ended (%s), another starts in %.1f s", process.owner.pid, process.describe_end(code), wait
        )

    def _time_out(self, number: int, limit: float) -> None:
        attrs = {"reason": "timeout", "message": f"ran for {limit:.0f} s, the limit of a trial."}
        with self._database():
            if self.stored.storage.give_away(self.stored.study_id, number, attrs, None):
                clean(self.stored, number, self.order.keep)
                outcome = f"fail (timeout: {attrs['message']})"
                self.observer.trial_ended(number, outcome, None, self._standing())

    def _stop(self, why: str, within_s: float | None = None) -> None:
        """Ask all workers to store what they have and to end, and remember why."""
        self._stopping = self._stopping or why
        if within_s is not None:
            self._stop_by = time.monotonic() + within_s
        for slot in self.slots:
            if slot.process is not None:
                slot.process.stop()

    def _check_study(self) -> None:
        """Stop early where the study's cost, or somebody elsewhere, says so."""
        if self._stopping:
            return
        limit = self.limits.gpu_hours
        with self._database():
            if limit is not None and self.stored.attempts.gpu_seconds() / 3600 >= limit:
                self._stop(f"the limit of {limit:g} GPU hours is reached", within_s=self.order.grace_s)
            asked = self.stored.is_asked_to_stop(self._started_db)
            if asked is not None:
                self._error = InterruptedStudyError("stopped by `blade-tune stop`; run again to go on from here.")
                self._stop("stopped", within_s=0.0 if asked == "now" else None)

    def _standing(self) -> Standing | None:
        with self._database():
            return self.stored.standing()
        return None

    def _sweep(self) -> None:
        """Queue again what has lost its worker."""
        self._swept = time.monotonic()
        with self._database():
            self.recovery.sweep()

    def _handle_events(self, wait_s: float = 0.0) -> None:
        """Pass on what workers said since the last time."""
        with suppress(queue.Empty):
            event = self._events.get(timeout=wait_s) if wait_s else self._events.get_nowait()
            while True:
                process, name, arguments = event
                process.heard(name, arguments)
                if name == "trial_ended":
                    number, outcome, value = arguments
                    self.observer.trial_ended(number, outcome, value, self._standing())
                else:
                    dispatch(name, arguments, self.observer)
                event = self._events.get_nowait()

    @contextmanager
    def _database(self) -> Iterator[None]:
        """A database that is away is no reason to leave the workers alone: they wait for it themselves."""
        try:
            yield
            self._is_away = False
        except (StorageInternalError, SQLAlchemyError) as error:
            self.recovery.forget()
            if not self._is_away:
                log.warning("storage is away (%s); workers wait for it", reason_of(error))
            self._is_away = True
