"""Command `blade-tune show`, which prints everything about one trial."""

import click

from blade_tune.cli.options import reads_study, trial_argument
from blade_tune.cli.output import print_facts
from blade_tune.fleet.settings import RunSettings


@click.command()
@trial_argument
@reads_study
def show(number: int, study: str, settings: RunSettings, form: str) -> None:
    """Print everything about a trial.

    Its configuration, how it ended, its curve, where its files are. Nothing is changed.

    \b
    Example:
      blade-tune show 7 --study demo
    """  # noqa: D301
    from blade_tune.report import tables
    from blade_tune.storage.trials import trial_of

    stored = settings.workspace.study(study)
    print_facts(tables.trial_facts(stored, trial_of(stored.trials, number, study)), form)
