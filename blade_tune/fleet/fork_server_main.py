"""Entry point of a fork server, which forks workers: `python -m blade_tune.fleet.fork_server_main FD MODULE ...`.

A worker spends seconds on imports, most of them on torch's. The fork server imports once; a worker that is forked from
it starts within milliseconds and shares the memory of the imported modules. It never uses a GPU, since a CUDA context
does not survive a fork, and it starts no thread, which a fork would leave behind.

The supervisor holds the other end of the socket FD, by which it asks for workers; fork_server.py has the messages. The
fork server ends with its supervisor.
"""

import gc
import json
import logging
import os
import selectors
import signal
import socket
import sys
import traceback
from contextlib import suppress
from importlib import import_module

from blade_tune.fleet import worker_main
from blade_tune.fleet.fork_server import SIZE

NUM_STREAMS = 3


def main() -> None:
    """Fork a worker for each request, and report every end, until the supervisor is gone."""
    supervisor = socket.socket(fileno=int(sys.argv[1]))
    for module in sys.argv[2:]:
        # A worker that needs the module meets the error itself, and reports it.
        with suppress(Exception):
            import_module(module)
    gc.collect()
    gc.freeze()  # else the next collection in each worker would copy the shared memory
    woken = _wake_at_child_ends()
    selector = selectors.DefaultSelector()
    for source in (supervisor, woken):
        selector.register(source, selectors.EVENT_READ)
    while True:
        ready = [key.fileobj for key, _ in selector.select()]
        if woken in ready:
            os.read(woken, 1024)  # a byte a signal
            _report_ends(supervisor)
        if supervisor in ready and not _serve(supervisor, selector):
            return


def _wake_at_child_ends() -> int:
    """Return a file descriptor that becomes readable when a child has ended."""
    woken, waking = os.pipe()
    os.set_blocking(waking, False)
    signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler nothing is written
    return woken


def _serve(supervisor: socket.socket, selector: selectors.BaseSelector) -> bool:
    """Fork a worker for the next request, and tell the supervisor its process id.

    Returns:
        False if the supervisor is gone.
    """
    size, streams, _, _ = socket.recv_fds(supervisor, SIZE.size, NUM_STREAMS)
    if len(size) < SIZE.size:
        return False
    (num_bytes,) = SIZE.unpack(size)
    request = supervisor.recv(num_bytes, socket.MSG_WAITALL)
    directory, environment = json.loads(request)
    pid = os.fork()
    if pid == 0:
        selector.close()
        supervisor.close()
        _become_worker(streams, directory, environment)
    for stream in streams:
        os.close(stream)
    _send(supervisor, "started", pid)
    return True


def _report_ends(supervisor: socket.socket) -> None:
    """Send the exit code of every child that has ended."""
    with suppress(ChildProcessError):  # there is no child at all
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            _send(supervisor, "ended", pid, os.waitstatus_to_exitcode(status))


def _send(supervisor: socket.socket, *message: str | int) -> None:
    with suppress(OSError):  # the supervisor is gone, which the next request shows
        supervisor.sendall(json.dumps(message).encode() + b"\n")


def _become_worker(streams: list[int], directory: str, environment: dict[str, str]) -> None:
    """Run a worker in this new process as if Python had been started for it, and exit."""
    code = 1
    try:
        os.setsid()
        for target, stream in enumerate(streams):
            os.dup2(stream, target)
            os.close(stream)
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(environment)
        sys.stdin, sys.stdout, sys.stderr = (
            open(descriptor, mode, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
            for descriptor, mode in enumerate(("r", "w", "w"))
        )
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        worker_main.main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        # Without the cleanup of an interpreter that was not started here
        os._exit(code)


if __name__ == "__main__":
    main()
