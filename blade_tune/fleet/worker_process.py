"""A worker process as its supervisor holds it."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from blade_tune.fleet.devices import Place
from blade_tune.fleet.worker_config import WorkerConfig

MODULE = "blade_tune.fleet.worker_main"
LAST_LINES = 12  # of what a worker wrote before it died

Event = tuple["WorkerProcess", str, list[Any]]


class WorkerProcess:
    """Starts a worker; its events go into a queue, the last lines of its standard error are kept.

    It has a session of its own, so that a Ctrl-C in the terminal reaches the supervisor only.

    Args:
        place: where it trains.
        order: what it does.
        events: gets (this, event, arguments).
    """

    def __init__(self, place: Place, config: WorkerConfig, events: "queue.SimpleQueue[Event]") -> None:
        self.trial: int | None = None
        self.trial_started = 0.0  # by the monotonic clock
        self.has_trained = False
        self.last_word: str | None = None
        self._events = events
        self._stderr: deque[str] = deque(maxlen=LAST_LINES)
        env = {**os.environ, "OMP_NUM_THREADS": str(place.threads)}
        env.pop("BLADE_TUNE_STORAGE", None)  # may hold a password; the order has it
        env["CUDA_VISIBLE_DEVICES"] = place.visible
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", MODULE],
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=env,
            start_new_session=True,
        )
        self.pid = self._process.pid
        assert self._process.stdin and self._process.stdout and self._process.stderr  # noqa: S101, PT018 - for mypy
        self._readers = [
            threading.Thread(target=self._read_events, args=(self._process.stdout,), daemon=True),
            threading.Thread(target=self._stderr.extend, args=(self._process.stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        with suppress(BrokenPipeError):  # it died at once; its exit code says more
            self._process.stdin.write(config.model_dump_json() + "\n")
            self._process.stdin.flush()  # and left open: its end tells the worker that the supervisor is gone

    def poll(self) -> int | None:
        """The exit code once the process has ended and all of its events are in the queue."""
        code = self._process.poll()
        if code is not None:
            for reader in self._readers:
                reader.join(timeout=5.0)
            for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
                with suppress(OSError):  # what was not sent any more
                    if stream is not None:
                        stream.close()
        return code

    def stop(self, *, now: bool) -> None:
        """Ask it to store its trial at the end of the epoch and to end, or to go back to the latest checkpoint."""
        self._process.send_signal(signal.SIGINT if now else signal.SIGTERM)

    def kill(self) -> None:
        """End it, wait for that, and have all of its events in the queue."""
        self._process.kill()
        self._process.wait()
        self.poll()

    def heard(self, event: str, arguments: list[Any]) -> None:
        """Remember what an event says of the process."""
        if event == "trial_started":
            self.trial, self.trial_started = arguments[0], time.monotonic()
        elif event == "epoch_ended":
            self.has_trained = True
        elif event in ("trial_ended", "trial_lost"):
            self.trial = None
        elif event == "ended":
            self.last_word = arguments[1]

    def describe_end(self, code: int) -> str:
        """Why it ended, as far as is known."""
        if self.last_word is not None:
            return self.last_word
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"{how}{self._said()}"

    def _said(self) -> str:
        lines = [line.rstrip() for line in self._stderr if line.strip()]
        return ": " + "\n  ".join(lines) if lines else ""

    def _read_events(self, stream: Iterable[str]) -> None:
        for line in stream:
            with suppress(ValueError, TypeError):  # cut short by the process's death, or printed by a library
                event, *arguments = json.loads(line)
                self._events.put((self, event, arguments))
