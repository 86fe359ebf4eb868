"""Command `blade-tune trials`, which prints a row for each trial."""

import click

from blade_tune.cli.options import reads_study
from blade_tune.cli.output import print_rows
from blade_tune.fleet.settings import RunSettings


@click.command()
@click.option(
    "--save",
    is_flag=True,
    help="Also write trials.csv and epochs.csv into RESULTS/STUDY, as `run` does.",
)
@reads_study
def trials(study: str, settings: RunSettings, form: str, save: bool) -> None:
    """Print a row a trial: state, value, parameters, epochs.

    Nothing is changed, but for the two tables that --save writes anew.

    \b
    Example:
      blade-tune trials --study demo -f csv > trials.csv
    """  # noqa: D301
    from blade_tune.report import tables

    stored = settings.workspace.study(study)
    if save:
        tables.write_tables(stored)
    rows = tables.trial_rows(stored)
    print_rows(tables.brief(rows) if form == "table" else rows, form)
