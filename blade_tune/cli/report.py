"""Command `blade-tune report`, which writes a study's figures and tables as one page."""

from pathlib import Path

import click

from blade_tune.cli.options import STORAGE_FLAGS, run_settings, study_option
from blade_tune.fleet.settings import RunSettings


@click.command()
@study_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder to write. Default: RESULTS/STUDY/report.",
)
@run_settings(*STORAGE_FLAGS)
def report(study: str, out: Path | None, settings: RunSettings) -> None:
    """Write a study's figures and tables as one page.

    report.html opens anywhere, without a network; tables.md and tables.tex hold its tables. An older report in the same
    place is replaced. Nothing else is changed, and the test rows stay sealed.

    \b
    Example:
      blade-tune report --study demo
    """  # noqa: D301
    from blade_tune.report.page import write_report

    stored = settings.workspace.study(study)
    for path in write_report(stored, out or stored.folder.path / "report"):
        click.echo(path)
