"""Command `blade-tune ensemble`, which weighs confirmed runs, and writes their sum where it beats the best alone."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from blade_tune.choices import Normalization
from blade_tune.cli.completion import complete_results
from blade_tune.cli.executor import executor_of
from blade_tune.cli.groups import InGroups
from blade_tune.cli.options import (
    STORAGE_FLAGS,
    format_option,
    quiet_option,
    run_settings,
)
from blade_tune.cli.output import print_facts, print_rows, print_words
from blade_tune.fleet.devices import usable_device
from blade_tune.fleet.settings import RunSettings

if TYPE_CHECKING:
    from blade_tune.selection.ensemble import Ensemble


@click.command(cls=InGroups)
@click.option(
    "--study",
    "-s",
    required=True,
    metavar="LIST",
    shell_complete=complete_results,
    help="Confirmed studies or comparisons on the same data, separated by commas.",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Confirmed configurations of each study that are candidates.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Runs of each, on the first of the fresh seeds.",
)
@click.option(
    "--draws",
    type=click.IntRange(min=1, max=100),
    default=10,
    show_default=True,
    help="Draws at most; how often a run is drawn is its weight.",
)
@click.option(
    "--normalization",
    type=click.Choice(get_args(Normalization)),
    default="scores",
    show_default=True,
    help="What is summed: standardized scores, or reciprocal ranks.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Open the test rows for a taken ensemble, and write its bundle here.",
)
@run_settings("data", *STORAGE_FLAGS, "device")
@format_option
@quiet_option
def ensemble(
    study: str,
    top: int,
    seeds: int,
    draws: int,
    normalization: Normalization,
    out: Path | None,
    settings: RunSettings,
    form: str,
    quiet: bool,
) -> None:
    """Weigh confirmed runs, and take the sum where it beats the best.

    Runs are drawn one after the other, each time the one with which the sum is best on validation users; how often one
    was drawn is its weight. The choice is made again on resampled users and judged on those left out, beside the single
    run that the same users choose. It is taken if the interval of the difference lies above 0. Nothing is trained, and
    test rows stay sealed without --out, which stores the ensemble as the study LIST.ensemble.

    \b
    Example:
      blade-tune ensemble --study demo.compare --out ensemble
    """  # noqa: D301
    from blade_tune.selection.ensemble import (
        choose_ensemble,
        confirmed_runs,
        require_taken,
        searches_of,
    )

    # Weigh the runs
    names = [name.strip() for name in study.split(",")]
    device = usable_device(settings.device)
    runs = confirmed_runs(searches_of(names, settings.workspace), top, seeds)
    found = choose_ensemble(runs, device, settings.data, draws=draws, normalization=normalization)

    # Write the bundle of an ensemble that is taken; the error about one that is not comes after what was found
    exported = None
    if out and found.is_taken:
        exported = _export(found, f"{names[0]}.ensemble", out, settings, quiet=quiet)
    rows = _rows(found)
    if form == "json":
        print_facts({**found.facts, "runs": rows, "exported": exported}, form)
    else:
        print_rows(rows, form)
    if form == "table":
        print_words(found.words)
    if form == "table" and exported:
        print_facts(exported, form)
    if out:
        require_taken(found)


def _rows(found: "Ensemble") -> list[dict[str, Any]]:
    """Return a row for each candidate, in their order."""
    return [
        {
            "run": run.name,
            "model": run.model,
            "seed": run.seed,
            found.metric: run.trial.value,
            "drawn": drawn,
        }
        for run, drawn in zip(found.candidates, found.counts, strict=True)
    ]


def _export(
    found: "Ensemble", name: str, out: Path, settings: RunSettings, *, quiet: bool
) -> dict[str, Any]:
    """Write the bundle of an ensemble, and return the facts that are shown of it."""
    from blade_tune.export.ensemble import export_ensemble
    from blade_tune.export.final import ExportOptions

    one_worker = settings.model_copy(update={"workers": 1})
    options = ExportOptions(out, usable_device(settings.device), settings.data)
    with executor_of(one_worker, quiet) as executor:
        metrics = export_ensemble(found, name, executor, options)
    shown = ("study", "trial", "valid", "test", "test_users", "verdict", "warning")
    return {"bundle": str(out), **{key: metrics[key] for key in shown}}
