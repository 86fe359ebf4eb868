"""Progress of studies and trainings on stderr: a live view on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from blade_tune.cli.live_progress import LiveProgress
from blade_tune.cli.plain_progress import PLAIN_EVERY_S, PlainProgress
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.trial.callback import Callback


@contextmanager
def watch(quiet: bool) -> Iterator[Callback]:
    """Yield the callback that shows progress in the way that suits stderr, or a silent one."""
    if quiet:
        yield Callback()
    elif sys.stderr.isatty():
        live = LiveProgress(Console(stderr=True))
        live.display.start()
        try:
            yield live
        finally:
            live.close()
    else:
        yield PlainProgress()


def epoch_lines(title: str) -> Callable[[EpochRecord], None]:
    """Return a function that prints a line on a training from time to time; call it after each epoch."""
    last = time.monotonic()

    def line(record: EpochRecord) -> None:
        nonlocal last
        if time.monotonic() - last >= PLAIN_EVERY_S:
            last = time.monotonic()
            click.echo(f"{title} epoch={record.epoch} s={record.seconds:.2f}", err=True)

    return line


@contextmanager
def watch_training(quiet: bool, title: str) -> Iterator[Callable[[EpochRecord], None]]:
    """Yield a function that shows the epochs of a single training under a title; call it after each epoch."""
    if quiet:
        yield lambda _: None
        return

    # In a pipe, a line from time to time
    console = Console(stderr=True)
    if not console.is_terminal:
        yield epoch_lines(title)
        return

    # On a terminal, one line that changes
    with Progress(
        TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True
    ) as progress:
        task = progress.add_task(title)
        yield lambda record: progress.update(task, description=f"{title}, epoch {record.epoch}")
