"""`blade-tune export-best`."""

from pathlib import Path
from typing import Any

import click

from blade_tune.cli.options import (
    data_option,
    device_option,
    format_option,
    quiet_option,
    results_option,
    storage_option,
    study_option,
    usable_device,
)
from blade_tune.cli.output import print_facts


@click.command("export-best")
@study_option
@data_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder to write. Default: RESULTS/STUDY/best.",
)
@click.option(
    "--rule",
    type=click.Choice(["confirmed", "best", "1se"]),
    help="confirmed: the winner of `confirm`; best: of the search; 1se: the smallest that cannot be told from the "
    "winner. Default: confirmed where there is one, else best.",
)
@click.option("--with-valid", is_flag=True, help="Train on validation rows too, for the best epoch count.")
@storage_option
@results_option
@device_option
@format_option
@quiet_option
def export_best(
    study: str,
    data: Path | None,
    out: Path | None,
    rule: Any,
    with_valid: bool,
    storage: str | None,
    results: Path,
    device: str,
    form: str,
    quiet: bool,
) -> None:
    """Train the winner again, open the test rows, write the model.

    The winner is the confirmed one; without a confirmation it is the best trial of the search, with a warning. Opening
    the sealed test rows adds a line to the study's ledger. An older export in the same place is replaced. The study
    itself is left alone.

    \b
    Example:
      blade-tune export-best --study demo
    """  # noqa: D301
    from blade_tune.cli.progress import watch_training
    from blade_tune.export.final import ExportOptions, export_best
    from blade_tune.report.dashboard import publish
    from blade_tune.study.storage import resolve_url
    from blade_tune.study.stored import StoredStudy

    stored = StoredStudy.load(study, resolve_url(storage, results), results)
    out = out or stored.folder.best
    with watch_training(quiet, f"retraining {stored.definition.name}") as on_epoch:
        metrics = export_best(stored, ExportOptions(out, usable_device(device), data, rule, with_valid, on_epoch))
    shown = {name: metrics[name] for name in ("rule", "trial", "valid", "test", "test_users")}
    publish(stored)
    reached = {name: figures[stored.definition.objective.metric] for name, figures in metrics["baselines"].items()}
    print_facts(
        {
            "bundle": str(out),
            **shown,
            "baselines": reached,
            "verdict": metrics["verdict"],
            "warning": metrics["warning"],
        },
        form,
    )
