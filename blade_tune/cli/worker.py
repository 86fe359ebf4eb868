"""Command `blade-tune worker`, which joins a stored study from any machine that has its data."""

import click

from blade_tune.cli.groups import STUDIED, InGroups
from blade_tune.cli.options import WORK_FLAGS, quiet_option, run_settings, study_option
from blade_tune.fleet.settings import RunSettings


@click.command(cls=InGroups, own=STUDIED)
@study_option
@run_settings(*WORK_FLAGS)
@quiet_option
def worker(study: str, settings: RunSettings, quiet: bool) -> None:
    """Join a stored study, from any machine that has its data.

    The study was made by `run`, which also says how many trials it has; both may go on at the same time. Data of
    another hash is refused (exit code 3). Checkpoints are in the results folder: where machines share it, a trial that
    one of them lost goes on elsewhere, otherwise it begins anew. Test rows are never opened.

    \b
    Example:
      blade-tune worker --study qk-video --storage postgresql+psycopg://me@db/studies --data ~/data/qk-video
    """  # noqa: D301
    from blade_tune.cli.progress import watch
    from blade_tune.fleet.devices import assign
    from blade_tune.fleet.run import run_workers

    places = assign(settings)
    stored = settings.workspace.study_to_work_on(study)
    stored.data(settings.data)  # refused here, before any process starts
    stored.claim_folder()
    with watch(quiet) as callback:
        run_workers(stored, settings, places, callback)
