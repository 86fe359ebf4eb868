"""Eight processes that do the same at the same time: what a race needs to show."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PROCESSES = 8
START_S = 0.5  # for the last process to be there too


class Crowd:
    """Processes that wait for work."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def run(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """What a module's function returned in each process, called with its index there and the arguments."""
        start = time.time() + START_S
        calls = [(start, function, index, *arguments) for index in range(PROCESSES)]
        return self._pool.starmap(_at, calls, chunksize=1)


@contextmanager
def gathered(module: str) -> Iterator[Crowd]:
    """A crowd whose processes have imported a module."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    with context.Pool(PROCESSES) as pool:
        yield Crowd(pool)


def _at(start: float, function: Callable[..., Any], *arguments: Any) -> Any:
    time.sleep(max(0.0, start - time.time()))
    return function(*arguments)
