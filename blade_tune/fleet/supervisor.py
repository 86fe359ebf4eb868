"""The supervisor: keeps workers at a study, ends those that hang, replaces those that die, and knows when to stop."""

import logging
import math
import queue
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from blade_tune.errors import (
    BladeTuneError,
    InterruptedStudyError,
    ReportedError,
    StorageError,
    WorkerError,
    WorkerSpentError,
)
from blade_tune.fleet.database_queries import BoundedQueries
from blade_tune.fleet.devices import Place
from blade_tune.fleet.messages import dispatch
from blade_tune.fleet.settings import RunSettings
from blade_tune.fleet.worker import Cleaner, why_done
from blade_tune.fleet.worker_config import WorkerConfig
from blade_tune.fleet.worker_process import Event, WorkerProcess
from blade_tune.storage.connect import SQLITE
from blade_tune.storage.recovery import MAX_RETRIES, Recovery
from blade_tune.storage.trial_record import EndReason, attributes
from blade_tune.study.stored import StoredStudy
from blade_tune.trial.callback import Callback
from blade_tune.trial.signals import StopSignals

log = logging.getLogger(__name__)

TICK_S = 0.2
SWEEP_S = 5.0  # at most; a grace period of seconds asks for more
BACKOFF_S, MAX_BACKOFF_S = 0.5, 60.0
MAX_DEATHS = MAX_RETRIES + 2  # in a row without an epoch: one trial is given up before, so it is not a trial
KILL_AFTER_S = 5.0  # what was asked twice to stop at once
FATAL = (1, 2, 3, 4, 5)  # exit codes that any other worker would end with too


@dataclass
class Slot:
    """One worker's place, through all the processes that fill it."""

    place: Place
    process: WorkerProcess | None = None
    start_at: float = 0.0
    deaths: int = 0
    is_done: bool = False


class Supervisor:
    """Runs workers on a stored study until it needs no more trials.

    Args:
        stored: the study.
        order: what workers do; each gets the device of its place.
        places: one a worker.
        settings: of the run; here its limits count.
        callback: hears what workers tell.
        signals: of this process.
    """

    def __init__(
        self,
        stored: StoredStudy,
        config: WorkerConfig,
        places: list[Place],
        settings: RunSettings,
        callback: Callback,
        signals: StopSignals,
    ) -> None:
        self.stored = stored
        self.config = config
        self.settings = settings
        self.callback = callback
        self.signals = signals
        self.slots = [Slot(place) for place in places]
        self.recovery = Recovery(stored.storage, stored.study, stored.attempts, config.grace_s, stored.folder)
        self.queries = BoundedQueries(self.recovery.forget)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._started = time.monotonic()
        self._stop_before = stored.stop_request()
        self._swept = 0.0
        self._stopping: str | None = None  # why
        self._hurry_at = math.inf  # when whoever was asked to stop is told to stop now
        self._kill_at = math.inf
        self._error: BladeTuneError | None = None
        self._why = ""

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
                    self._error = self._error or self.signals.error()
                    self._stop("stopped", within_s=0.0)
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
        self._check_run(now)
        for slot in self.slots:
            if slot.process is not None:
                self._look_after(slot, slot.process, now)
            elif self._stopping:
                slot.is_done = True
            elif not slot.is_done and now >= slot.start_at:
                self._start(slot, now)
        if now - self._swept > min(SWEEP_S, self.config.grace_s / 4):
            self._sweep()
            self._check_study()

    def _check_run(self, now: float) -> None:
        """Stop for a signal or at the time limit, and insist where that does not help."""
        if self.signals and self._stopping is None:
            log.warning("signal=%s stopping after this epoch; a second one stops now", self.signals.name)
            self._error = self.signals.error()
            self._stop("stopped")
        limit = self.settings.time
        if limit is not None and now - self._started > limit and self._stopping is None:
            self._stop(f"the time limit of {limit:.0f} s is reached", within_s=self.config.grace_s)
        for slot in self.slots:
            if slot.process is not None and now >= self._hurry_at:
                slot.process.stop(now=True)
            if slot.process is not None and now >= self._kill_at:
                slot.process.kill()
        if now >= self._hurry_at:
            self._hurry_at, self._kill_at = math.inf, min(self._kill_at, now + KILL_AFTER_S)

    def _check_study(self) -> None:
        """Stop for the study's cost, or because somebody elsewhere says so."""
        limit = self.settings.gpu_hours
        if limit is not None and self._stopping is None:
            cost = self.queries.ask(self.stored.attempts.gpu_seconds)
            if cost is not None and cost / 3600 >= limit:
                self._stop(f"the limit of {limit:g} GPU hours is reached", within_s=self.config.grace_s)
        request = self.queries.ask(self.stored.stop_request)
        if request is not None and request != self._stop_before:
            self._stop_before = request
            self._error = self._error or InterruptedStudyError(
                "stopped by `blade-tune stop`; run again to go on from here."
            )
            self._stop("stopped", within_s=0.0 if request.now else math.inf)

    def _stop(self, why: str, within_s: float = math.inf) -> None:
        """Ask all workers to store what they have and to end; those that have not by then shall not wait for it."""
        if self._stopping is None:
            self._stopping = why
            for slot in self.slots:
                if slot.process is not None:
                    slot.process.stop(now=False)
        self._hurry_at = min(self._hurry_at, time.monotonic() + within_s)

    def _start(self, slot: Slot, now: float) -> None:
        config = self.config.model_copy(update={"device": slot.place.device, "share": slot.place.share})
        try:
            slot.process = WorkerProcess(slot.place, config, self._events)
        except OSError as error:  # no memory, too many processes
            self._put_off(slot, now, f"a worker cannot be started: {error.strerror}")

    def _look_after(self, slot: Slot, process: WorkerProcess, now: float) -> None:
        """Notice that a worker hangs or has ended."""
        limit = self.settings.trial_time
        if limit is not None and process.trial is not None and now - process.trial_started > limit:
            process.kill()
            self._handle_events()
            if process.trial is not None:
                self._time_out(process, process.trial, limit)
                slot.process = None
                return
        code = process.poll()
        if code is None:
            return
        self._handle_events()
        slot.process = None
        self._sweep()
        if process.trial is not None:
            self.callback.trial_lost(process.trial)
        if code == 0:
            self._why, slot.is_done = process.last_word or "", True
        elif code in FATAL and process.last_word is not None:
            slot.is_done = True
            self._error = self._error or ReportedError(process.last_word, code)
            self._stop("failed")
        elif code != WorkerSpentError.exit_code and self._stopping is None:
            slot.deaths = 0 if process.has_trained else slot.deaths
            self._put_off(slot, now, f"worker={process.pid} ended ({process.describe_end(code)})")

    def _put_off(self, slot: Slot, now: float, what: str) -> None:
        """Replace a worker that died, later and later where that does not help."""
        slot.deaths += 1
        if slot.deaths >= MAX_DEATHS:
            self._error = WorkerError(f"{slot.deaths} workers in a row ended before one epoch, the latest: {what}")
            self._stop("failed")
            return
        wait = min(MAX_BACKOFF_S, BACKOFF_S * 2.0 ** (slot.deaths - 1))
        slot.start_at = now + wait
        log.warning("%s, another starts in %.1f s", what, wait)

    def _time_out(self, process: WorkerProcess, number: int, limit: float) -> None:
        """End the trial of a worker that was killed for it."""
        process.trial = None
        message = f"ran for {limit:.0f} s, the limit of a trial."
        attrs = attributes(reason=EndReason.TIMEOUT, message=message)
        storage, study_id = self.stored.storage, self.stored.study_id
        if self.queries.ask(lambda: storage.give_away(study_id, number, attrs, None)):
            self.queries.ask(lambda: Cleaner(self.stored, self.config.keep).clean(number))
            summary = self.queries.ask(self.stored.summary)
            self.callback.trial_ended(number, f"fail ({EndReason.TIMEOUT}: {message})", None, summary)
        self._sweep()

    def _sweep(self) -> None:
        """Queue again what has lost its worker, in a database that is still there."""
        self._swept = time.monotonic()
        url = self.stored.storage.engine.url
        if url.drivername == SQLITE and not Path(url.database or "").exists():  # and it writes on without an error
            self._error = self._error or StorageError(f"{url.database}: was removed while the study ran.")
            self._stop("failed", within_s=0.0)
        self.queries.ask(self.recovery.sweep)

    def _handle_events(self, wait_s: float = 0.0) -> None:
        """Pass on what workers said since the last time."""
        with suppress(queue.Empty):
            event = self._events.get(timeout=wait_s) if wait_s else self._events.get_nowait()
            while True:
                process, name, arguments = event
                process.heard(name, arguments)
                if name == "trial_ended":
                    number, outcome, value = arguments
                    self.callback.trial_ended(number, outcome, value, self.queries.ask(self.stored.summary))
                else:
                    dispatch(name, arguments, self.callback)
                event = self._events.get_nowait()
