"""The supervisor's handle of one worker process: starts it, reads its events, stops it and explains its end."""

import json
import queue
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from blade_tune.fleet.fork_server import ForkedProcess
from blade_tune.fleet.worker_config import WorkerConfig

LAST_LINES = 12  # lines of a worker's standard error that are kept, to explain its death

Event = tuple["WorkerProcess", str, list[Any]]  # the process that sent it, its name, its arguments


class WorkerProcess:
    """A worker process, which gets its configuration when the object is made.

    One thread puts the worker's events into a queue, another keeps the last lines of its standard error. The process
    has a session of its own, so that a Ctrl-C in the terminal reaches the supervisor only.

    Args:
        process: the process, from `worker_start.start`.
        config: the worker's configuration.
        events: the queue for the worker's events, which several workers may share.
    """

    def __init__(
        self,
        process: "subprocess.Popen[str] | ForkedProcess",
        config: WorkerConfig,
        events: "queue.SimpleQueue[Event]",
    ) -> None:
        self.trial: int | None = None  # number of the trial that it trains
        self.trial_started = 0.0  # by the monotonic clock
        self.has_trained = False  # whether it has finished an epoch
        self.last_word: str | None = None  # why it ended, in its own words; None if it did not say
        self._events = events
        self._stderr: deque[str] = deque(maxlen=LAST_LINES)
        self._process = process
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin and stdout and stderr  # noqa: S101, PT018 - for mypy
        self._readers = [
            threading.Thread(target=self._read_events, args=(stdout,), daemon=True),
            threading.Thread(target=self._stderr.extend, args=(stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        # Standard input stays open, since its end tells the worker that the supervisor is gone.
        with suppress(BrokenPipeError):  # the worker died at once, which its exit code will explain
            stdin.write(config.model_dump_json() + "\n")
            stdin.flush()

    @property
    def pid(self) -> int | None:
        """The process id; None while a fork server still imports."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit code if the process has ended, else None.

        When a code is returned, all of the worker's events are in the queue and its pipes are closed.
        """
        code = self._process.poll()
        if code is not None:
            for reader in self._readers:
                reader.join(timeout=5.0)
            for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
                with suppress(OSError):  # closing flushes what the worker did not live to read
                    if stream is not None:
                        stream.close()
        return code

    def stop(self, *, now: bool) -> None:
        """Ask the worker to end.

        Args:
            now: False to let it finish its epoch and store the trial's state first (SIGTERM); True to interrupt it,
                so that the trial falls back to its latest checkpoint (SIGINT).
        """
        self._process.send_signal(signal.SIGINT if now else signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process and wait until it has ended and all of its events are in the queue."""
        self._process.kill()
        self._process.wait()
        self.poll()

    def heard(self, event: str, arguments: list[Any]) -> None:
        """Update the state of this object by an event that the supervisor took from the queue."""
        if event == "trial_started":
            self.trial = arguments[0]
            self.trial_started = time.monotonic()
        elif event == "epoch_ended":
            self.has_trained = True
        elif event in ("trial_ended", "trial_lost"):
            self.trial = None
        elif event == "ended":
            self.last_word = arguments[1]

    def describe_end(self, code: int) -> str:
        """Return why the process ended: its own last word, else its signal or exit code and its last lines of output.

        Args:
            code: the exit code; negative for the number of a signal, as in `subprocess`.
        """
        if self.last_word is not None:
            return self.last_word
        end = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        lines = [line.rstrip() for line in self._stderr if line.strip()]
        return f"{end}: " + "\n  ".join(lines) if lines else end

    def _read_events(self, stream: Iterable[str]) -> None:
        for line in stream:
            # A line may be cut short by the process's death, or be no event.
            with suppress(ValueError, TypeError):
                event, *arguments = json.loads(line)
                self._events.put((self, event, arguments))
