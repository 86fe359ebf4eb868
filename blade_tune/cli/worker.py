"""`blade-tune worker`."""

from typing import Any

import click

from blade_tune.cli.options import quiet_option, study_option, works_on_study


@click.command()
@study_option
@works_on_study
@quiet_option
def worker(study: str, quiet: bool, **flags: Any) -> None:
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
    from blade_tune.fleet.precedence import resolve
    from blade_tune.fleet.run import run_workers
    from blade_tune.study.storage import await_database, resolve_url
    from blade_tune.study.stored import StoredStudy

    settings = resolve(flags, study).settings
    places = assign(settings)
    url = resolve_url(settings.storage, settings.results)
    await_database(url)
    stored = StoredStudy.load(study, url, settings.results)
    stored.data(settings.data)  # refused here, before any process starts
    stored.claim_folder()
    with watch(quiet) as observer:
        run_workers(stored, settings, places, observer)
