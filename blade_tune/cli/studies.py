"""Command `blade-tune studies`, which prints a row for each study of a database."""

import click

from blade_tune.cli.options import STORAGE_FLAGS, format_option, run_settings
from blade_tune.cli.output import print_rows
from blade_tune.fleet.settings import RunSettings

# Columns that a narrow terminal can do without, the least important first
LEAST = ("metric", "who", "data", "above it", "item_knn", "active", "model")


@click.command()
@click.option(
    "--all",
    "show_all",
    is_flag=True,
    help="Also parts of others: runs of confirm, ablate and sweep, and the searches of compare and auto.",
)
@run_settings(*STORAGE_FLAGS)
@format_option
def studies(show_all: bool, settings: RunSettings, form: str) -> None:
    """Print a row a study: how far it is, what it has found.

    Model and data, whether somebody works on it, scored trials of the budget, the best value beside that of an untuned
    item_knn and whether it is above it, when it was last worked on and by whom; the latest first. All figures with -f
    json or csv. Nothing is changed, and no data is read.

    \b
    Example:
      blade-tune studies --all
    """  # noqa: D301
    print_studies(settings, form, show_all=show_all)


def print_studies(settings: RunSettings, form: str, *, show_all: bool) -> None:
    """Print all studies of a database.

    Args:
        settings: with the database, and how long a silent worker counts as working.
        form: "table", "json" or "csv".
        show_all: whether to print those too that are parts of another study or of a comparison.
    """
    from blade_tune.report.studies import brief_studies, study_rows

    rows = study_rows(settings.workspace, settings.grace_s)
    shown = [row for row in rows if show_all or not row["part_of"]]
    if form != "table":
        print_rows(shown, form)
        return
    if shown:
        print_rows(brief_studies(shown), form, LEAST)
    num_hidden = len(rows) - len(shown)
    if num_hidden:
        words = "study is a part" if num_hidden == 1 else "studies are parts"
        click.echo(
            f"{num_hidden} {words} of another study or a comparison: `blade-tune studies --all`.",
            err=True,
        )
    elif not rows:
        click.echo("No study is stored here: `blade-tune run --study NAME`.", err=True)
