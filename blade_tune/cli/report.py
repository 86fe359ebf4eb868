"""`blade-tune report`."""

from pathlib import Path

import click

from blade_tune.cli.options import results_option, storage_option, study_option


@click.command()
@study_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder to write. Default: RESULTS/STUDY/report.",
)
@storage_option
@results_option
def report(study: str, out: Path | None, storage: str | None, results: Path) -> None:
    """Write a study's figures and tables as one page.

    report.html opens anywhere, without a network; tables.md and tables.tex hold its tables. An older report in the same
    place is replaced. Nothing else is changed, and the test rows stay sealed.

    \b
    Example:
      blade-tune report --study demo
    """  # noqa: D301
    from blade_tune.report.page import write_report
    from blade_tune.study.storage import resolve_url, storage_errors
    from blade_tune.study.stored import StoredStudy

    url = resolve_url(storage, results)
    stored = StoredStudy.load(study, url, results)
    with storage_errors(url):
        for path in write_report(stored, out or stored.folder.path / "report"):
            click.echo(path)
