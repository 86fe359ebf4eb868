"""`blade-tune status`."""

from pathlib import Path

import click

from blade_tune.cli.options import reads_study
from blade_tune.cli.output import print_facts


@click.command()
@reads_study
def status(study: str, storage: str | None, results: Path, data: Path | None, form: str) -> None:  # noqa: ARG001
    """Print how far a study is, and its best trial.

    Its budget and its trials by state. Nothing is changed, and the data is not read.

    \b
    Example:
      blade-tune status --study demo -f json
    """  # noqa: D301
    from blade_tune.report import tables
    from blade_tune.study.storage import resolve_url
    from blade_tune.study.stored import StoredStudy

    print_facts(tables.status(StoredStudy.load(study, resolve_url(storage, results), results)), form)
