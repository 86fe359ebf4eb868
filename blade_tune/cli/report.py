"""Command `blade-tune report`, which writes the figures and tables of a study or a comparison as one page."""

from pathlib import Path

import click

from blade_tune.cli.completion import complete_result
from blade_tune.cli.options import STORAGE_FLAGS, run_settings
from blade_tune.cli.output import print_words
from blade_tune.fleet.settings import RunSettings


@click.command()
@click.option(
    "--study",
    "-s",
    required=True,
    metavar="NAME|FILE",
    shell_complete=complete_result,
    help="Name of the study, the path of its file, or the name of a comparison: STUDY.compare.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder to write. Default: RESULTS/STUDY/report.",
)
@run_settings(*STORAGE_FLAGS)
def report(study: str, out: Path | None, settings: RunSettings) -> None:
    """Write a study or a comparison as one page.

    report.html, with all figures and tables, opens anywhere, without a network; tables.md and tables.tex hold its
    tables. A comparison is named as the folder of its tables is: STUDY.compare, STUDY.compare-published. An older
    report in the same place is replaced. Nothing else is changed, nothing is trained, and the test rows stay sealed:
    figures on them are shown where they were opened before. The page prints to A4; report.html#talk is one
    figure of it alone, for a talk.

    \b
    Example:
      blade-tune report --study demo.compare
    """  # noqa: D301
    from blade_tune.report.comparison_page import write_comparison_report
    from blade_tune.report.page import write_report
    from blade_tune.report.winner_words import comparison_words, study_words
    from blade_tune.selection.stored_comparison import StoredComparison, require

    found = require(settings.workspace, study)
    words = ""
    if isinstance(found, StoredComparison):
        paths = write_comparison_report(found, out or settings.results / str(found.name) / "report")
        compared = found.on("valid")
        words = comparison_words(compared) if compared else ""
    else:
        paths = write_report(found, out or found.folder.path / "report")
        words = study_words(found)
    for path in paths:
        click.echo(path)
    if words:
        print_words(words, err=True)
