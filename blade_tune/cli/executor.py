"""Executor of the runs that a command needs, with its workers placed and its progress shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from blade_tune.fleet.settings import RunSettings

if TYPE_CHECKING:
    from blade_tune.selection.runs import RunExecutor


@contextmanager
def executor_of(settings: RunSettings, quiet: bool) -> "Iterator[RunExecutor]":
    """Yield an executor with the workers that settings ask for, and show its progress on stderr unless quiet."""
    from blade_tune.cli.progress import watch
    from blade_tune.fleet.devices import assign
    from blade_tune.selection.runs import RunExecutor

    with watch(quiet) as callback:
        yield RunExecutor(settings, assign(settings), callback)
