"""`blade-tune stop`."""

from pathlib import Path

import click

from blade_tune.cli.options import results_option, storage_option, study_option


@click.command()
@study_option
@click.option("--now", is_flag=True, help="Do not wait for the end of an epoch; go back to the last checkpoint.")
@storage_option
@results_option
def stop(study: str, now: bool, storage: str | None, results: Path) -> None:
    """End every run of a study, on all machines.

    Workers store their trials at the end of the epoch and queue them; `run` goes on from there. What is stored is left
    alone, and so are runs that begin later.

    \b
    Example:
      blade-tune stop --study qk-video
    """  # noqa: D301
    from blade_tune.study.storage import resolve_url, storage_errors
    from blade_tune.study.stored import StoredStudy

    url = resolve_url(storage, results)
    stored = StoredStudy.load(study, url, results)
    with storage_errors(url):
        at_work = len(stored.attempts.open_attempts())
        stored.ask_to_stop(now=now)
    who = "1 worker" if at_work == 1 else f"{at_work} workers"
    click.echo(f"asked {who} to stop; `blade-tune status --watch` shows them end.")
