"""Command `blade-tune data xray`, which tells what matters in the data of a study."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from blade_tune.cli.options import (
    STORAGE_FLAGS,
    format_option,
    quiet_option,
    run_settings,
    study_option,
)
from blade_tune.cli.output import print_facts, print_rows
from blade_tune.cli.steps import watch_steps
from blade_tune.fleet.settings import RunSettings

if TYPE_CHECKING:
    from blade_tune.data.store import SearchData
    from blade_tune.spec.definition import StudyDefinition

SOUGHT = {  # finding -> what is shown while it is measured
    "order": "Does it matter what came before what?",
    "recency": "Do the newest steps matter more?",
    "sets": "Do the behavior sets of the history matter?",
    "told_set": "Does the told set of the next item matter?",
    "repeats": "Are items met again?",
    "popularity": "Does popularity matter?",
}


@click.command()
@study_option
@run_settings("data", *STORAGE_FLAGS)
@format_option
@quiet_option
def xray(study: str, settings: RunSettings, form: str, quiet: bool) -> None:
    """Tell what matters in the data of a study.

    Order, recency, behavior sets, the told set, repeats, popularity: for each, what a recommender made of counts gains
    in NDCG@10 on the valid rows by using it, with an interval and the smallest difference that could have been seen.
    It takes seconds to a minute and is kept in the results. Test rows stay sealed; nothing is trained.

    \b
    Example:
      blade-tune data xray --study qk-video --data ~/data/qk-video
    """  # noqa: D301
    from blade_tune.spec.definition import max_length
    from blade_tune.xray.measure import xray as measured

    definition, _, search = data_of(study, settings)
    start = time.perf_counter()
    window = max_length(definition, definition.space.fixed)
    exclude = definition.objective.exclude
    with watch_steps(quiet) as on_step:

        def on_finding(name: str) -> None:
            on_step(SOUGHT[name], lambda: 0.0)

        findings = measured(search, exclude, window, settings.results, on_finding)
    if not quiet:
        seconds = time.perf_counter() - start
        protocol = f"NDCG@10 on valid rows, exclude {exclude}, window {window}"
        click.echo(f"{protocol}: {seconds:.1f} s", err=True)
    if form == "json":
        print_facts({name: finding.facts for name, finding in findings.items()}, form)
        return
    rows = []
    for name, finding in findings.items():
        rows.append({"thing": name, **_row(finding.facts, form)})
    print_rows(rows, form)


def _row(facts: Mapping[str, Any], form: str) -> dict[str, Any]:
    """Return a finding's facts without details, with figures of four decimals unless they are for a CSV file."""
    row = {name: value for name, value in facts.items() if name != "details"}
    if form == "csv":
        return row
    for name, value in row.items():
        if isinstance(value, float):
            is_signed = name in ("difference", "low", "high")
            row[name] = f"{value:+.4f}" if is_signed else f"{value:.4f}"
    return row


def data_of(
    study: str, settings: RunSettings
) -> tuple["StudyDefinition", Path | None, "SearchData"]:
    """Return the definition of a study, stored or from its file, the folder of its data, and its search data.

    Args:
        study: name of the study, or the path of its file.
        settings: where studies are stored, and where the data is if the stored study does not remember it.
    """
    from blade_tune.data.store import prepare
    from blade_tune.spec.definition import StudyDefinition

    if stored := settings.workspace.find(study):
        return stored.definition, stored.data_directory(settings.data), stored.data(settings.data)
    definition = StudyDefinition.load(study)
    return definition, settings.data, prepare(definition.data, settings.data, settings.results)
