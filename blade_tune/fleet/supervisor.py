"""The supervisor of a run's worker processes: starts and stops them, replaces those that die, ends those that hang.

It is a loop in one thread, `Supervisor.run`, which every `TICK_S` seconds handles the events of the workers, checks the
run's limits and looks at each worker process. It trains nothing, and while workers run it queries the database with a
bounded wait only, so that a signal is always answered. A stop escalates in three steps: workers are asked to store
their trial after the epoch, then to stop now, then they are killed. A trial that is lost on the way is queued again
from its checkpoint.
"""

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
from blade_tune.fleet import worker_start
from blade_tune.fleet.database_queries import BoundedQueries
from blade_tune.fleet.devices import Placement
from blade_tune.fleet.messages import dispatch
from blade_tune.fleet.settings import RunSettings
from blade_tune.fleet.worker_config import WorkerConfig
from blade_tune.fleet.worker_process import Event, WorkerProcess
from blade_tune.storage.connect import SQLITE
from blade_tune.storage.recovery import MAX_RETRIES, Recovery
from blade_tune.storage.trial_record import EndReason, attributes
from blade_tune.study.cleaner import Cleaner
from blade_tune.study.progress import summary_of, why_done
from blade_tune.study.stored import StoredStudy
from blade_tune.trial.callback import Callback, StudySummary
from blade_tune.trial.signals import StopSignals

log = logging.getLogger(__name__)

TICK_S = 0.2  # the longest wait for an event, in seconds
# The longest time between two searches for lost trials; a short grace period makes it shorter.
SWEEP_S = 5.0
# The wait before a dead worker is replaced, which doubles with each death from the first to the last of these.
BACKOFF_S, MAX_BACKOFF_S = 0.5, 60.0
# Deaths in a row without an epoch, after which a run gives up. A trial that kills its workers is failed after fewer, so
# that so many deaths cannot be the fault of one trial.
MAX_DEATHS = MAX_RETRIES + 2
KILL_AFTER_S = 5.0  # seconds between the order to stop now and the kill
FATAL = (1, 2, 3, 4, 5)  # exit codes of errors that every other worker would meet too


@dataclass
class Slot:
    """A slot for one worker, in which a process that ended is replaced by another."""

    placement: Placement
    process: WorkerProcess | None = None  # None before the first, and between two processes
    start_at: float = 0.0  # the next process starts no earlier, by the monotonic clock
    deaths: int = 0  # in a row without an epoch between them
    is_done: bool = False  # whether no other process shall start here


class Supervisor:
    """The parent of a run's workers, which keeps them working until the study needs no more trials or the run ends.

    Args:
        stored: the study.
        config: the configuration of all workers; device and share are replaced by those of each worker's placement.
        placements: one placement per worker.
        settings: the run's settings, of which the limits of time, cost and time per trial are used here.
        callback: receives the events of all workers.
        signals: the signals that this process receives.
    """

    def __init__(
        self,
        stored: StoredStudy,
        config: WorkerConfig,
        placements: list[Placement],
        settings: RunSettings,
        callback: Callback,
        signals: StopSignals,
    ) -> None:
        self.stored = stored
        self.config = config
        self.settings = settings
        self.callback = callback
        self.signals = signals
        self.slots = [Slot(placement) for placement in placements]
        self.recovery = Recovery(
            stored.storage, stored.study, stored.attempts, config.grace_s, stored.folder
        )
        self.queries = BoundedQueries(self.recovery.forget)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._has_baselines = False  # whether the callback knows them
        self._started = time.monotonic()
        self._stop_before = stored.stop_request()
        self._swept = 0.0
        self._stop_reason: str | None = None  # None until workers are asked to stop
        self._hurry_at = math.inf  # when workers that were asked to stop are told to stop now
        self._kill_at = math.inf  # when workers that still run are killed
        self._error: BladeTuneError | None = None  # raised at the end of the run
        self._why = ""  # why the latest worker ended that ended by itself

    def run(self) -> str:
        """Run the workers until all have ended, and return the reason that the run is over.

        Raises:
            InterruptedStudyError: a signal or `blade-tune stop` ended the run; interrupted trials are queued again.
            ReportedError: a worker ended with an error that every other worker would meet too.
            WorkerError: workers died again and again before they finished an epoch.
            StorageError: the file of a SQLite database was removed.
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
        finally:  # only an error leaves a process running here; its trial is queued again at once
            for slot in self.slots:
                if slot.process is not None:
                    slot.process.kill()
            self._handle_events()
            self._sweep()
        if self._error is not None:
            raise self._error
        return self._stop_reason or self._why

    def _tick(self) -> None:
        """Do one round of the loop: events, limits, each slot, and from time to time the database."""
        self._handle_events(TICK_S)
        now = time.monotonic()
        self._check_run(now)
        for slot in self.slots:
            if slot.process is not None:
                self._look_after(slot, slot.process, now)
            elif self._stop_reason:
                slot.is_done = True
            elif not slot.is_done and now >= slot.start_at:
                self._start(slot, now)
        if now - self._swept > min(SWEEP_S, self.config.grace_s / 4):
            self._sweep()
            self._check_study()
            if summary := self._summary():
                self.callback.progressed(summary)

    def _check_run(self, now: float) -> None:
        """Begin to stop at a signal or at the run's time limit, and escalate where workers do not end in time."""
        if self.signals and self._stop_reason is None:
            name = self.signals.name
            log.warning("signal=%s stopping after this epoch; a second one stops now", name)
            self._error = self.signals.error()
            self._stop("stopped")
        limit = self.settings.time
        if limit is not None and now - self._started > limit and self._stop_reason is None:
            self._stop(f"the time limit of {limit:.0f} s is reached", within_s=self.config.grace_s)
        # Workers that were asked to stop are told to stop now, and killed a while after that.
        running = [slot.process for slot in self.slots if slot.process is not None]
        for process in running:
            if now >= self._hurry_at:
                process.stop(now=True)
            if now >= self._kill_at:
                process.kill()
        if now >= self._hurry_at:
            self._hurry_at = math.inf
            self._kill_at = min(self._kill_at, now + KILL_AFTER_S)

    def _check_study(self) -> None:
        """Begin to stop when the study reaches its limit of GPU hours, or at `blade-tune stop` on any machine."""
        limit = self.settings.gpu_hours
        if limit is not None and self._stop_reason is None:
            cost = self.queries.ask(self.stored.attempts.gpu_seconds)
            if cost is not None and cost / 3600 >= limit:
                why = f"the limit of {limit:g} GPU hours is reached"
                self._stop(why, within_s=self.config.grace_s)
        # Compared with the latest request before this run, since a request stays stored.
        request = self.queries.ask(self.stored.stop_request)
        if request is not None and request != self._stop_before:
            self._stop_before = request
            self._error = self._error or InterruptedStudyError(
                "stopped by `blade-tune stop`; run again to go on from here."
            )
            self._stop("stopped", within_s=0.0 if request.now else math.inf)

    def _stop(self, why: str, within_s: float = math.inf) -> None:
        """Ask all workers to store their trials and to end.

        Args:
            why: the reason; if workers were asked before, the first reason is kept.
            within_s: seconds after which workers that still run are told to stop now, without waiting for the end of
                their epoch.
        """
        if self._stop_reason is None:
            self._stop_reason = why
            for slot in self.slots:
                if slot.process is not None:
                    slot.process.stop(now=False)
        self._hurry_at = min(self._hurry_at, time.monotonic() + within_s)

    def _start(self, slot: Slot, now: float) -> None:
        """Start a worker process in a slot."""
        device = {"device": slot.placement.device, "share": slot.placement.share}
        config = self.config.model_copy(update=device)
        try:
            process = worker_start.start(slot.placement, self.stored.definition.model)
        except OSError as error:  # no memory, too many processes
            self._put_off(slot, now, f"a worker cannot be started: {error.strerror}")
        else:
            slot.process = WorkerProcess(process, config, self._events)

    def _look_after(self, slot: Slot, process: WorkerProcess, now: float) -> None:
        """Kill a worker whose trial exceeds its time limit, and decide what follows a worker that has ended."""
        # A trial beyond its time limit
        limit = self.settings.trial_time
        if limit is not None and process.trial is not None and now - process.trial_started > limit:
            process.kill()
            self._handle_events()
            if process.trial is not None:  # else the trial ended just before the kill
                self._time_out(process, process.trial, limit)
                slot.process = None
                return
        # A worker that has ended
        code = process.poll()
        if code is None:
            return
        self._handle_events()
        slot.process = None
        self._sweep()  # its trial is queued now, not only when the grace period is over
        if process.trial is not None:
            self.callback.trial_lost(process.trial)
        # What follows: an end for this slot, an end for all, or another worker
        if code == 0:
            self._why = process.last_word or ""
            slot.is_done = True
        elif code in FATAL and process.last_word is not None:
            slot.is_done = True
            self._error = self._error or ReportedError(process.last_word, code)
            self._stop("failed")
        elif code != WorkerSpentError.exit_code and self._stop_reason is None:
            # Not for a spent worker, which is replaced at once.
            if process.has_trained:
                slot.deaths = 0
            self._put_off(slot, now, f"worker={process.pid} ended ({process.describe_end(code)})")

    def _put_off(self, slot: Slot, now: float, cause: str) -> None:
        """Schedule the replacement of a worker that died, with a wait that doubles from one death to the next.

        Args:
            slot: the worker's slot.
            now: the time on the monotonic clock.
            cause: what happened, for the log.
        """
        slot.deaths += 1
        if slot.deaths >= MAX_DEATHS:
            self._error = WorkerError(
                f"{slot.deaths} workers in a row ended before one epoch, the latest: {cause}"
            )
            self._stop("failed")
            return
        wait = min(MAX_BACKOFF_S, BACKOFF_S * 2.0 ** (slot.deaths - 1))
        slot.start_at = now + wait
        log.warning("%s, another starts in %.1f s", cause, wait)

    def _time_out(self, process: WorkerProcess, number: int, limit: float) -> None:
        """Store the end of a trial whose worker was killed because the trial took too long."""
        process.trial = None  # so that it is not reported as lost, too
        message = f"ran for {limit:.0f} s, the limit of a trial."
        attrs = attributes(reason=EndReason.TIMEOUT, message=message)
        storage, study_id = self.stored.storage, self.stored.study_id
        if self.queries.ask(lambda: storage.give_away(study_id, number, attrs, None)):
            cleaner = Cleaner(self.stored, self.config.keep)
            self.queries.ask(lambda: cleaner.clean(number))
            outcome = f"fail ({EndReason.TIMEOUT}: {message})"
            self.callback.trial_ended(number, outcome, None, self._summary())
        self._sweep()

    def _sweep(self) -> None:
        """Queue the trials again whose workers are lost, and stop the run if its SQLite file was removed."""
        self._swept = time.monotonic()
        url = self.stored.storage.engine.url
        # An open SQLite connection goes on writing to a removed file without an error, and all results would be lost.
        if url.drivername == SQLITE and not Path(url.database or "").exists():
            removed = StorageError(f"{url.database}: was removed while the study ran.")
            self._error = self._error or removed
            self._stop("failed", within_s=0.0)
        self.queries.ask(self.recovery.sweep)

    def _handle_events(self, wait_s: float = 0.0) -> None:
        """Pass all events on that workers have sent, after waiting for a first one for at most `wait_s` seconds."""
        with suppress(queue.Empty):
            while True:
                process, name, arguments = self._events.get(block=wait_s > 0, timeout=wait_s)
                wait_s = 0.0
                process.heard(name, arguments)
                if name == "baselines_measured":
                    if self._has_baselines:
                        continue  # workers that start together each report them
                    self._has_baselines = True
                dispatch(name, arguments, self.callback, self._summary)

    def _summary(self) -> StudySummary | None:
        """Return the summary of the study; None during an outage of the database."""
        return self.queries.ask(lambda: summary_of(self.stored))
