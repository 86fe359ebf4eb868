"""`blade-tune trials`."""

import logging
from pathlib import Path

import click

from blade_tune.cli.options import reads_study
from blade_tune.cli.output import print_rows

log = logging.getLogger(__name__)


@click.command()
@reads_study
def trials(study: str, storage: str | None, results: Path, data: Path | None, form: str) -> None:  # noqa: ARG001
    """Print a row a trial: state, value, parameters, epochs.

    Nothing is changed; with `-f csv`, trials.csv and epochs.csv in the study's folder are written anew from it.

    \b
    Example:
      blade-tune trials --study demo -f csv > trials.csv
    """  # noqa: D301
    from blade_tune.report import tables
    from blade_tune.study.storage import resolve_url
    from blade_tune.study.stored import StoredStudy

    stored = StoredStudy.load(study, resolve_url(storage, results), results)
    if form == "csv":
        try:
            tables.write_tables(stored)
        except OSError as error:
            log.warning("trials.csv and epochs.csv are left alone: %s", error.strerror)
    rows = tables.trial_rows(stored)
    print_rows(tables.brief(rows) if form == "table" else rows, form)
