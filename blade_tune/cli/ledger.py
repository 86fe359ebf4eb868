"""Command `blade-tune ledger`, which prints and verifies the list of evaluations on test rows."""

from pathlib import Path

import click

from blade_tune.cli.completion import complete_stored
from blade_tune.cli.options import STORAGE_FLAGS, format_option, run_settings
from blade_tune.cli.output import print_rows, print_words
from blade_tune.errors import ConfigError
from blade_tune.fleet.settings import RunSettings


@click.command()
@click.option(
    "--study",
    "-s",
    metavar="NAME|FILE",
    shell_complete=complete_stored,
    help="Name of the study, or the path of its file.",
)
@click.option(
    "--bundles",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Or the folder of bundles that `retrain` wrote into.",
)
@run_settings(*STORAGE_FLAGS)
@format_option
def ledger(study: str | None, bundles: Path | None, settings: RunSettings, form: str) -> None:
    """Print and verify the list of evaluations on test rows.

    Each line holds the hash of the one before, and the study's database remembers the last; of retrained models, each
    bundle remembers its line. A ledger that was changed is an error. Nothing is opened or changed.

    \b
    Example:
      blade-tune ledger --study demo
    """  # noqa: D301
    if study is not None and bundles is None:
        found, of = settings.workspace.study(study).ledger, f"study {study}"
    elif bundles is not None and study is None:
        from blade_tune.export.retrain_ledger import ledger_beside

        found, of = ledger_beside(bundles), f"retrains into {bundles}"
    else:
        raise ConfigError("ledger needs one of --study and --bundles.")
    entries = found.entries()
    print_rows([{"line": number, **entry} for number, entry in enumerate(entries, start=1)], form)
    if form == "table":
        count = len(found.openings())
        print_words(f"test rows of {of} were evaluated {count} times; the ledger is whole.")
