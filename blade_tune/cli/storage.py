"""Commands `blade-tune storage ...`, which upgrade databases and copy studies between them."""

import click

from blade_tune.cli.groups import InOrder
from blade_tune.cli.options import STORAGE_FLAGS, run_settings, study_option
from blade_tune.fleet.settings import RunSettings


@click.group(cls=InOrder)
def storage() -> None:
    """Look after the databases that studies are stored in.

    Files in the results folder are left alone.

    \b
    Example:
      blade-tune storage upgrade
    """  # noqa: D301


@storage.command()
@run_settings(*STORAGE_FLAGS)
def upgrade(settings: RunSettings) -> None:
    """Bring a database of an older Optuna up to date.

    One that is current is left alone, and one of a newer Optuna is refused. Stop all runs first, and keep a copy.

    \b
    Example:
      blade-tune storage upgrade --storage postgresql://me@server/studies
    """  # noqa: D301
    from blade_tune.storage.connect import masked
    from blade_tune.study.transfer import upgrade

    url = settings.workspace.url
    before, now = upgrade(url)
    done = f"upgraded from version {before} to {now}."
    if before == now:
        done = f"is current, version {now}."
    click.echo(f"{masked(url)}: {done}")


@storage.command()
@study_option
@click.option(
    "--to", required=True, metavar="URL", help="The other database; an empty one will do."
)
@run_settings(*STORAGE_FLAGS)
def copy(study: str, to: str, settings: RunSettings) -> None:
    """Copy a study into another database.

    Its trials, and what they have cost; also its runs, where it was confirmed. The study here and the files in the
    results folder are left alone: go on with the copy by `--storage URL` and the same `--results`. From then on the
    files there are the copy's, and the study here needs another folder to go on.

    \b
    Example:
      blade-tune storage copy --study demo --to postgresql://me@server/studies
    """  # noqa: D301
    from blade_tune.selection.runs import find_runs
    from blade_tune.storage.connect import masked
    from blade_tune.study.transfer import copy_study
    from blade_tune.study.workspace import Workspace

    url = Workspace.at(to, settings.results).url
    stored = settings.workspace.study(study)
    for copied in filter(None, (stored, find_runs(stored))):
        counts = copy_study(copied, url)
        states = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        click.echo(
            f"study {copied.definition.name}: {states or 'no trial'} copied to {masked(url)}."
        )
