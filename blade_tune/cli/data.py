"""Command group `blade-tune data`, whose commands get, prepare and describe data."""

from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import click

from blade_tune.cli.data_get import get
from blade_tune.cli.data_known import WithKnownLogs
from blade_tune.cli.data_look import look_at
from blade_tune.cli.data_page import stats_page
from blade_tune.cli.data_prepare import prepare
from blade_tune.cli.data_synth import synth
from blade_tune.cli.data_xray import data_of, xray
from blade_tune.cli.groups import InOrder
from blade_tune.cli.options import STORAGE_FLAGS, format_option, run_settings, study_option
from blade_tune.cli.output import print_facts, print_rows
from blade_tune.fleet.settings import RunSettings


@click.group(cls=InOrder)
def data() -> None:
    """Get data, make studies of it, look at it.

    Nothing here trains a model.

    \b
    Example:
      blade-tune data stats --study demo
    """  # noqa: D301


prepare.commands = WithKnownLogs(prepare.commands)  # type: ignore[assignment]  # nothing is added later


@data.command("list")
@run_settings(*STORAGE_FLAGS)
@format_option
def list_data(settings: RunSettings, form: str) -> None:
    """Print what data there is: sources, known logs, prepared data.

    Public logs go by name to `data get` and `data prepare`. Then the logs that were prepared in ./data, and the rows
    that RESULTS hold prepared for searches, with the studies that were run on them; sizes are in megabytes (mb).
    Nothing is prepared, and test rows are not opened.

    \b
    Example:
      blade-tune data list
    """  # noqa: D301
    from blade_tune.report.data_sets import data_rows

    rows = data_rows(settings.workspace, Path("data"))
    if form != "table":
        print_rows(rows, form)
        return
    for kind, group in groupby(rows, key=lambda row: row["kind"]):
        click.echo(f"{kind}:")
        print_rows([{**row, "kind": None} for row in group], form)
        click.echo()


data.add_command(get)
data.add_command(look_at)
data.add_command(prepare)
data.add_command(synth)


@data.command()
@study_option
@run_settings("data", *STORAGE_FLAGS)
@format_option
def stats(study: str, settings: RunSettings, form: str) -> None:
    """Print what the data of a study holds.

    Users, items, interactions, behaviors, lengths, time; what popularity and an untuned item_knn reach on the valid
    rows; what was left out and why; how that differs from what was published; what `data xray` found, once it was
    asked; the studies that were run on these rows; the versions of a log to which rows were added. A page for people,
    all figures with -f json or csv. Prepares the data if it never was. Test rows are counted, not shown, and no
    evaluation is written down.

    \b
    Example:
      blade-tune data stats --study qk-video --data ~/data/qk-video -f json
    """  # noqa: D301
    from blade_tune.data.sealed import count_sealed
    from blade_tune.data.sources.base import open_source
    from blade_tune.data.statistics import describe
    from blade_tune.spec.definition import max_length
    from blade_tune.study.dependents import studies_on
    from blade_tune.training.baselines import valid_baselines
    from blade_tune.xray.measure import known_xray

    definition, directory, search = data_of(study, settings)
    source = open_source(definition.data, directory)
    facts = describe(search, count_sealed(search, directory), source.origin())

    # What untuned baselines reach, and what `data xray` found
    objective = definition.objective
    window = max_length(definition, definition.space.fixed)
    baselines = valid_baselines(search, objective, window, settings.results)
    facts["baselines"] = {"valid": {**baselines.metrics, **baselines.left_out}}
    findings = known_xray(search.data_hash, objective.exclude, window, settings.results)
    if findings is not None:
        facts["xray"] = {name: finding.verdict for name, finding in findings.items()}

    # Where it lies, and what else is there
    facts |= _surroundings(source.folder())
    facts["studies"] = studies_on(search.data_hash, settings.workspace.url)
    if form == "table":
        config = definition.data
        click.echo(stats_page(facts, config.name, config.auxiliary, objective.metric))
    else:
        print_facts(facts, form)


def _surroundings(folder: Path | None) -> dict[str, Any]:
    """Return the folder of data, and the versions of its log where rows were added to it."""
    if folder is None:
        return {}
    from blade_tune.cli.data_append import earlier_test_words
    from blade_tune.data.versions import versions_of

    facts: dict[str, Any] = {"folder": str(folder.resolve())}
    versions = versions_of(folder.resolve())
    if len(versions) < 2:
        return facts
    described = {}
    for version in versions:
        known = version.facts
        described[version.folder.name] = {
            "folder": str(version.folder),
            "rows": known["rows"],
            "parts": known["parts"],
            **known.get("time_span", {}),
        }
    facts["versions"] = described
    for before, after in pairwise(versions):
        if after.folder == folder.resolve():
            names = before.folder.name, after.folder.name
            facts["earlier_test_rows"] = earlier_test_words(*names, after.facts["version"])
    return facts


data.add_command(xray)
