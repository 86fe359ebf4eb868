"""Command `blade-tune ledger`, which prints and verifies the list of evaluations on test rows."""

import click

from blade_tune.cli.options import STORAGE_FLAGS, format_option, run_settings, study_option
from blade_tune.cli.output import print_rows
from blade_tune.fleet.settings import RunSettings


@click.command()
@study_option
@run_settings(*STORAGE_FLAGS)
@format_option
def ledger(study: str, settings: RunSettings, form: str) -> None:
    """Print and verify the list of evaluations on test rows.

    Each line holds the hash of the one before, and the study's database remembers the last. A ledger that was changed
    is an error. Nothing is opened or changed.

    \b
    Example:
      blade-tune ledger --study demo
    """  # noqa: D301
    ledger = settings.workspace.study(study).ledger
    entries = ledger.entries()
    print_rows([{"line": number, **entry} for number, entry in enumerate(entries, start=1)], form)
    if form == "table":
        count = len(ledger.openings())
        click.echo(f"test rows of study {study} were evaluated {count} times; the ledger is whole.")
