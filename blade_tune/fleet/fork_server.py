"""The supervisor's end of a fork server, a process that has imported torch and forks workers within milliseconds.

A request is its size, with the worker's streams attached, and a JSON list: the working directory and the environment
variables. Messages of the fork server are lines of JSON: `["started", PID]`, in the order of the requests, and
`["ended", PID, EXIT_CODE]`.
"""

import errno
import json
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

import psutil

log = logging.getLogger(__name__)

MODULE = "blade_tune.fleet.fork_server_main"
# Exit code of a worker whose fork server died before it, so that the true one is not known
UNKNOWN = 255
SIZE = struct.Struct("!I")  # of a request's size, with which the streams come
POLL_S = 0.1  # between two looks for the end of a process


class ForkedProcess:
    """A process forked by a fork server, with the methods of `subprocess.Popen` that a supervisor needs.

    Its process id is not known before the fork server has finished its imports.

    Args:
        stdin, stdout, stderr: this process's ends of the pipes.
    """

    def __init__(self, stdin: IO[str], stdout: IO[str], stderr: IO[str]) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.pid: int | None = None
        self.returncode: int | None = None
        self._signal: signal.Signals | None = None  # to be sent when the process has started
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._is_orphan = False  # whether nobody reports its end

    def poll(self) -> int | None:
        """Return the exit code if the process has ended, else None; the negative number of a signal that killed it."""
        if self.returncode is None and self._is_orphan and not _is_alive(self.pid):
            self.has_ended(UNKNOWN)
        return self.returncode

    def wait(self) -> int | None:
        """Wait until the process has ended, and return its exit code."""
        while not self._ended.wait(POLL_S):
            self.poll()
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process; to one that has not started yet, as soon as it has."""
        with self._lock:
            if self.pid is None:
                self._signal = number
            elif self.returncode is None:
                _send(self.pid, number)

    def kill(self) -> None:
        """Kill the process. One that has not started yet counts as killed, and is killed when it starts."""
        self.send_signal(signal.SIGKILL)
        if self.pid is None:
            self.has_ended(-signal.SIGKILL)

    def close(self) -> None:
        """Close the pipes."""
        for stream in (self.stdin, self.stdout, self.stderr):
            with suppress(OSError):  # closing flushes what the process did not live to read
                stream.close()

    def has_started(self, pid: int) -> None:
        """Take the process id from the fork server."""
        with self._lock:
            self.pid = pid
            if self._signal is not None:
                _send(pid, self._signal)

    def has_ended(self, code: int) -> None:
        """Take the exit code from the fork server."""
        with self._lock:
            self.returncode = code if self.returncode is None else self.returncode
        self._ended.set()

    def has_lost_its_server(self) -> None:
        """Note that the fork server has died, so that `poll` has to look for the process itself."""
        self._is_orphan = True


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has ended, and its fork server has not said so yet
        os.kill(pid, number)


def _is_alive(pid: int | None) -> bool:
    """Return whether a process exists and is no zombie."""
    if pid is None:
        return False
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class ForkServer:
    """A running fork server, and the processes that it has forked.

    It has a session of its own, so that signals for the supervisor's process group do not reach it, and ends when this
    object is closed or the supervisor dies.

    Args:
        modules: names of the modules to import before the first fork, besides those of every worker.
        environment: the environment variables that matter at import, such as OMP_NUM_THREADS.

    Raises:
        OSError: the process cannot be started.
    """

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str]) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the fork server
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", MODULE, str(theirs.fileno()), *modules],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                env=dict(environment),
                start_new_session=True,
            )
        self._lock = threading.Lock()
        self._requested: deque[ForkedProcess] = deque()
        self._started: dict[int, ForkedProcess] = {}  # by process id
        self.is_gone = False  # whether it has died
        self._is_closed = False
        threading.Thread(target=self._read, daemon=True).start()

    def fork(self, environment: Mapping[str, str]) -> ForkedProcess:
        """Fork a worker process; this returns at once, also where the fork server still imports.

        Args:
            environment: all environment variables of the worker, which has this process's working directory.

        Raises:
            OSError: the fork server has died.
        """
        stdin_theirs, stdin = os.pipe()
        stdout, stdout_theirs = os.pipe()
        stderr, stderr_theirs = os.pipe()
        process = ForkedProcess(
            os.fdopen(stdin, "w", encoding="utf-8"),
            os.fdopen(stdout, encoding="utf-8", errors="replace"),
            os.fdopen(stderr, encoding="utf-8", errors="replace"),
        )
        request = json.dumps([os.getcwd(), dict(environment)]).encode()
        streams = [stdin_theirs, stdout_theirs, stderr_theirs]
        try:
            with self._lock:
                if self.is_gone:
                    raise BrokenPipeError(errno.EPIPE, "the fork server has died")
                # In the order of requests, in which the fork server answers
                self._requested.append(process)
                socket.send_fds(self._socket, [SIZE.pack(len(request))], streams)
                self._socket.sendall(request)
        except OSError:
            process.close()
            raise
        finally:
            for stream in streams:
                os.close(stream)
        return process

    def close(self) -> None:
        """End the fork server; processes that it has forked go on."""
        self._is_closed = True
        self._process.kill()
        self._process.wait()
        self._socket.close()
        self._stderr.close()

    def _read(self) -> None:
        """Take messages from the fork server until it ends."""
        with self._socket.makefile(encoding="utf-8") as lines, suppress(OSError, ValueError):
            for line in lines:
                event, pid, *code = json.loads(line)
                if event == "started":
                    self._started[pid] = self._requested.popleft()
                    self._started[pid].has_started(pid)
                else:
                    self._started.pop(pid).has_ended(code[0])
        with self._lock:
            self.is_gone = True
        if not self._is_closed:
            self._stderr.seek(0)
            said = self._stderr.read().decode(errors="replace").strip()
            log.warning("the fork server of workers died, another starts: %s", said or "killed")
        for process in [*self._requested, *self._started.values()]:
            process.has_lost_its_server()
