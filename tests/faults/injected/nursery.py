"""A nursery of fork servers: it imports torch once for all runs that a test process starts.

A run's fork server imports for three seconds before it forks its first worker. Where PYTHON_TEST_NURSERY is the path of
a nursery's socket, sitecustomize.py hands the fork server's socket, standard error, folder and environment over to the
nursery instead, which forks a process that goes on as the fork server. The process that the run has started waits: it
ends with the one that goes on, and the other way round.

The nursery has imported with OMP_NUM_THREADS=1, so other fork servers import by themselves. A test that looks at the
environment of workers in /proc, or traces a family of processes, must do without.
"""

import fcntl
import gc
import json
import os
import signal
import socket
import struct
import sys
import threading
from contextlib import suppress

VARIABLE = "PYTHON_TEST_NURSERY"
FORK_SERVER = "blade_tune.fleet.fork_server_main"
SIZE = struct.Struct("!I")


def hand_over(path: str) -> None:
    """End as the one that waits; return where there is no nursery, or it has imported something else."""
    supervisor = int(sys.orig_argv[3])
    nursery = socket.socket(socket.AF_UNIX)
    if os.environ.get("OMP_NUM_THREADS") != "1" or nursery.connect_ex(path):
        return
    request = json.dumps([os.getcwd(), dict(os.environ), sys.orig_argv[4:]]).encode()
    socket.send_fds(nursery, [SIZE.pack(len(request))], [supervisor, 2])
    nursery.sendall(request)
    os.close(supervisor)
    with suppress(OSError):
        nursery.recv(1)
    os._exit(0)


def main() -> None:
    """Fork a fork server for each request, until the test process is gone, which holds standard input open."""
    from importlib import import_module

    from blade_tune.fleet.worker_start import LATE
    from blade_tune.models import MODELS

    for module in (FORK_SERVER, *LATE, *(place.partition(":")[0] for place in MODELS.values())):
        import_module(module)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, reap)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(sys.argv[1])
    listening.listen(64)
    os.write(1, b"ready\n")
    threading.Thread(target=end_with_stdin, daemon=True).start()
    while True:
        waiting, _ = listening.accept()
        size, streams, _, _ = socket.recv_fds(waiting, SIZE.size, 2)
        if len(size) == SIZE.size:
            request = json.loads(waiting.recv(*SIZE.unpack(size), socket.MSG_WAITALL))
            if os.fork() == 0:
                listening.close()
                become_fork_server(waiting, streams, *request)
        for stream in streams:
            os.close(stream)
        waiting.close()


def reap(*_: object) -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


def become_fork_server(
    waiting: socket.socket,
    streams: list[int],
    directory: str,
    environment: dict[str, str],
    modules: list[str],
) -> None:
    """Go on as the process that waits would have; its end is a signal that ends this one."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    for target, stream in enumerate((nothing, nothing, streams[1])):
        os.dup2(stream, target)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    fcntl.fcntl(waiting, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(waiting, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        waiting.recv(1)  # it has ended already
        os._exit(0)
    import sitecustomize

    from blade_tune.fleet import fork_server_main

    sys.orig_argv[:] = [sys.executable, "-m", FORK_SERVER]
    sitecustomize.install()
    sys.argv = [FORK_SERVER, str(streams[0]), *modules]
    try:
        fork_server_main.main()
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
