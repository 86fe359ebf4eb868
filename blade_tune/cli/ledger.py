"""`blade-tune ledger`."""

from pathlib import Path

import click

from blade_tune.cli.options import format_option, results_option, storage_option, study_option
from blade_tune.cli.output import print_rows


@click.command()
@study_option
@storage_option
@results_option
@format_option
def ledger(study: str, storage: str | None, results: Path, form: str) -> None:
    """Print and verify the list of evaluations on test rows.

    Each line holds the hash of the one before, and the study's database remembers the last. A ledger that was changed
    is an error. Nothing is opened or changed.

    \b
    Example:
      blade-tune ledger --study demo
    """  # noqa: D301
    from blade_tune.study.storage import resolve_url
    from blade_tune.study.stored import StoredStudy

    entries = StoredStudy.load(study, resolve_url(storage, results), results).ledger.entries()
    print_rows([{"line": number, **entry} for number, entry in enumerate(entries, start=1)], form)
    if form == "table":
        click.echo(f"test rows of study {study} were evaluated {len(entries)} times; the ledger is whole.")
