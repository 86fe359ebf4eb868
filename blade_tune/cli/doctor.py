"""Command `blade-tune doctor`, which finds what would stop a run or was left by a crash."""

from typing import Any

import click

from blade_tune.cli.completion import complete_stored
from blade_tune.cli.options import STORAGE_FLAGS, format_option, run_flags
from blade_tune.cli.output import print_rows


@click.command()
@click.option(
    "--study",
    "-s",
    metavar="NAME",
    shell_complete=complete_stored,
    help="Look at this study. Default: all of the database.",
)
@click.option(
    "--fix", is_flag=True, help="Queue again what lost its worker, remove what crashes left."
)
@run_flags(*STORAGE_FLAGS, "data")
@format_option
def doctor(study: str | None, fix: bool, form: str, **flags: Any) -> None:
    """Find what would stop a run or was left by a crash.

    Looks at versions, devices, disk, database, studies and their files. The exit code is 1 where there is a problem; a
    warning is worth knowing, or mended by the next run. Nothing is changed without --fix, and no trial of a living
    worker with it.

    \b
    Example:
      blade-tune doctor --study demo --fix
    """  # noqa: D301
    from blade_tune.doctor.checks import examine
    from blade_tune.export.checksums import bundle_findings
    from blade_tune.fleet.precedence import resolve
    from blade_tune.spec.catalog import StudySource

    settings = resolve(flags, StudySource.find(study) if study else None).settings
    if flags["data"] is not None and study is None:
        raise click.UsageError("--data is of one study: name it with --study.")

    def on_fix(line: str) -> None:
        click.echo(line, err=True)

    findings = examine(settings, study, on_fix if fix else None)
    findings += bundle_findings(settings.results, study)
    print_rows([vars(finding) for finding in findings], form)
    if any(finding.state == "problem" for finding in findings):
        click.get_current_context().exit(1)
