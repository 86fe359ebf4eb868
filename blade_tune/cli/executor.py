"""Who trains for a command that needs runs: workers placed, progress watched."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from blade_tune.fleet.settings import RunSettings

if TYPE_CHECKING:
    from blade_tune.selection.runs import RunExecutor


@contextmanager
def executor_of(settings: RunSettings, quiet: bool) -> "Iterator[RunExecutor]":
    """Place the workers that settings ask for, and show what they do."""
    from blade_tune.cli.progress import watch
    from blade_tune.fleet.devices import assign
    from blade_tune.selection.runs import RunExecutor

    with watch(quiet) as callback:
        yield RunExecutor(settings, assign(settings), callback)
