"""Command `blade-tune show`, which prints everything about one trial."""

import click

from blade_tune.cli.options import reads_study
from blade_tune.cli.output import print_facts
from blade_tune.errors import ConfigError
from blade_tune.fleet.settings import RunSettings


@click.command()
@click.argument("number", type=click.IntRange(min=0))
@reads_study
def show(number: int, study: str, settings: RunSettings, form: str) -> None:
    """Print everything about trial NUMBER.

    Its configuration, how it ended, its curve, where its files are. Nothing is changed.

    \b
    Example:
      blade-tune show 7 --study demo
    """  # noqa: D301
    from blade_tune.report import tables

    stored = settings.workspace.study(study)
    if number >= len(stored.trials):
        raise ConfigError(f"study {study} has trials 0 to {len(stored.trials) - 1}, got {number}.")
    print_facts(tables.trial_facts(stored, stored.trials[number]), form)
