"""`blade-tune worker`."""

from typing import Any

import click

from blade_tune.cli.options import quiet_option, run_option, study_option


@click.command()
@study_option
@run_option("storage", "URL")
@run_option("data", "DIR")
@run_option("workers", "N")
@run_option("device", "NAME")
@run_option("gpus", "LIST")
@run_option("per_gpu", "K")
@run_option("time", "DURATION")
@run_option("trial_time", "DURATION")
@run_option("gpu_hours", "HOURS")
@run_option("keep", "K")
@run_option("max_consecutive_failures", "N")
@run_option("results", "DIR")
@run_option("heartbeat_s", "SECONDS")
@run_option("grace_s", "SECONDS")
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
    from blade_tune.study.storage import resolve_url
    from blade_tune.study.stored import StoredStudy

    settings = resolve(flags, study).settings
    places = assign(settings)
    stored = StoredStudy.load(study, resolve_url(settings.storage, settings.results), settings.results)
    stored.data(settings.data)  # refused here, before any process starts
    with watch(quiet) as observer:
        run_workers(stored, settings, places, observer)
