"""Command `blade-tune status`, which prints a study's progress and its active workers, or a row for each study."""

from collections.abc import Mapping
from typing import Any

import click

from blade_tune.cli.completion import complete_stored
from blade_tune.cli.options import PRICE_FLAGS, STORAGE_FLAGS, format_option, run_settings
from blade_tune.cli.output import print_facts, print_rows
from blade_tune.cli.studies import print_studies
from blade_tune.fleet.settings import RunSettings


@click.command()
@click.option("--watch", is_flag=True, help="Go on showing it until the study is done.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="With --watch: from one look to the next.",
)
@click.option(
    "--study",
    "-s",
    metavar="NAME|FILE",
    shell_complete=complete_stored,
    help="Name of the study, or the path of its file. Default: a row for each, as `studies`.",
)
@run_settings(*STORAGE_FLAGS, *PRICE_FLAGS)
@format_option
def status(
    study: str | None,
    settings: RunSettings,
    form: str,
    watch: bool,
    every: float,
) -> None:
    """Print a study's progress and its active workers.

    Without --study, a row for each study of the database, as `blade-tune studies` prints it.

    Its budget, best trial, when the best baseline was passed, trials by state, failures by reason, the noise of a
    value, hours of CPUs and GPUs, what they cost where a price is set, and how long it still takes with those who work
    on it now. With --watch, a terminal shows it live and a pipe gets a line for each change; Ctrl-C (exit code 130)
    ends the watching alone. Nothing is changed, and the data is not read.

    \b
    Example:
      blade-tune status --study demo --watch
    """  # noqa: D301
    from blade_tune.cli.watch import facts_of, watch_study
    from blade_tune.doctor.checks import warn_of_size

    if watch and form != "table":
        raise click.UsageError(
            "--watch is for people; a program asks `status -f json` again and again."
        )
    if study is None:
        if watch:
            raise click.UsageError("--watch is for one study: --study NAME.")
        print_studies(settings, form, show_all=False)
        return
    stored = settings.workspace.study(study)
    warn_of_size(stored)
    if watch:
        watch_study(stored, settings, every)
    else:
        _print(facts_of(stored, settings), form)


def _print(facts: Mapping[str, Any], form: str) -> None:
    """Print the state of a study: nested in JSON, with workers by index in CSV, or as a table with one of workers."""
    workers = facts["workers"]
    if form == "json":
        print_facts(facts, form)
    elif form == "csv":
        print_facts({**facts, "workers": dict(enumerate(workers))}, form)
    else:
        print_facts({**facts, "workers": len(workers)}, form)
        if workers:
            click.echo()
            print_rows(workers, form)
