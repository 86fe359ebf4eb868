"""Progress of long work on stderr, such as steps and downloads: live on a terminal, a line each elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from blade_tune.data.raw.download import OnBytes
    from blade_tune.data.raw.prepare import OnStep


class _Percent(ProgressColumn):
    """A column with a step's progress in percent, which the step's own function returns."""

    def render(self, task: Task) -> Text:
        percent = task.fields["percent"]()
        return Text(f"{percent:3.0f}%" if 0 < percent < 100 else "")


@contextmanager
def watch_steps(quiet: bool) -> Iterator["OnStep"]:
    """Yield a function that shows the current step; call it with the step's name and its progress function."""
    if quiet or not sys.stderr.isatty():
        yield lambda words, _: None if quiet else click.echo(words, err=True)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), _Percent(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", percent=lambda: 0.0)
        yield lambda words, percent: progress.update(task, description=words, percent=percent)


@contextmanager
def watch_download(quiet: bool, title: str) -> Iterator["OnBytes"]:
    """Yield a function that shows a download's progress; call it with the bytes so far and the total."""
    if quiet or not sys.stderr.isatty():
        shown = -1  # tenths of the total, or units of 10**8 bytes, that were printed last

        def line(there: int, total: int | None) -> None:
            nonlocal shown
            tenth = 10 * there // total if total else there // 10**8
            if tenth != shown and not quiet:
                shown = tenth
                click.echo(f"{title} bytes={there}/{total or 'unknown'}", err=True)

        yield line
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=None)
        yield lambda there, total: progress.update(task, completed=there, total=total)
