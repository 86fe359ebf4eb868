"""Eight processes that do the same at the same time: what a race needs to show."""

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier
from typing import Any

PROCESSES = 8
START_S = 60.0  # at most, until the last process is there too
# What the processes of all modules need and import slowly; the server that forks them imports it once.
PRELOADED = ["hypothesis", "psycopg", "pytest", "tests.tiny", "blade_tune.study.transfer"]

_start: Barrier  # of a process of a crowd


class Crowd:
    """Processes that wait for work."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def run(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """What a module's function returned in each process, called with its index there and the arguments."""
        calls = [(function, index, *arguments) for index in range(PROCESSES)]
        return self._pool.starmap(_together, calls, chunksize=1)


@contextmanager
def gathered() -> Iterator[Crowd]:
    """A crowd that is there for the block."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with context.Pool(PROCESSES, _join, [context.Barrier(PROCESSES)]) as pool:
        yield Crowd(pool)


def _join(start: Barrier) -> None:
    global _start
    _start = start


def _together(function: Callable[..., Any], *arguments: Any) -> Any:
    """A process that waits for the others takes no second call, so each makes one."""
    _start.wait(START_S)
    return function(*arguments)
