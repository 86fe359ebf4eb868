"""Command `blade-tune stop`, which ends every run of a study on all machines."""

import click

from blade_tune.cli.options import STORAGE_FLAGS, run_settings, study_option
from blade_tune.fleet.settings import RunSettings


@click.command()
@study_option
@click.option(
    "--now",
    is_flag=True,
    help="Do not wait for the end of an epoch; go back to the last checkpoint.",
)
@run_settings(*STORAGE_FLAGS)
def stop(study: str, now: bool, settings: RunSettings) -> None:
    """End every run of a study, on all machines.

    Workers store their trials at the end of the epoch and queue them; `run` goes on from there. What is stored is left
    alone, and so are runs that begin later.

    \b
    Example:
      blade-tune stop --study qk-video
    """  # noqa: D301
    stored = settings.workspace.study(study)
    count = len(stored.attempts.open_attempts())
    stored.ask_to_stop(now=now)
    workers = "1 worker" if count == 1 else f"{count} workers"
    click.echo(f"asked {workers} to stop; `blade-tune status --watch` shows them end.")
