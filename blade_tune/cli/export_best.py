"""Command `blade-tune export-best`, which trains the winner again, tests it once and writes the model."""

from pathlib import Path
from typing import get_args

import click

from blade_tune.cli.groups import InGroups
from blade_tune.cli.next_steps import after_export, say_next
from blade_tune.cli.options import (
    STORAGE_FLAGS,
    format_option,
    quiet_option,
    run_settings,
    study_option,
)
from blade_tune.cli.output import print_facts, print_words
from blade_tune.export import Rule
from blade_tune.fleet.devices import usable_device
from blade_tune.fleet.settings import RunSettings


@click.command("export-best", cls=InGroups)
@study_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder to write. Default: RESULTS/STUDY/best.",
)
@click.option(
    "--rule",
    type=click.Choice(get_args(Rule)),
    help="confirmed: the winner of `confirm`; best: of the search; 1se: the smallest that cannot be told from the "
    "winner. Default: confirmed where there is one, else best.",
)
@click.option(
    "--with-valid", is_flag=True, help="Train on validation rows too, for the best epoch count."
)
@click.option(
    "--with-program",
    is_flag=True,
    help="Also write program.pt2, which torch alone runs, where the model allows it.",
)
@run_settings("data", *STORAGE_FLAGS, "device")
@format_option
@quiet_option
def export_best(
    study: str,
    out: Path | None,
    rule: Rule | None,
    with_valid: bool,
    with_program: bool,
    settings: RunSettings,
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
    # Before the imports, so that a misspelled name is said at once.
    stored = settings.workspace.study(study)

    from blade_tune.cli.progress import watch_training
    from blade_tune.export.final import ExportOptions, export_best
    from blade_tune.report.dashboard import publish
    from blade_tune.report.winner_words import tested_words

    out = out or stored.folder.best
    with watch_training(quiet, f"retraining {stored.definition.name}") as on_epoch:
        device = usable_device(settings.device)
        options = ExportOptions(
            out, device, settings.data, rule, with_valid, on_epoch, with_program
        )
        metrics = export_best(stored, options)
    publish(stored)

    # Of each baseline, its figure in the study's metric only
    metric = stored.definition.objective.metric
    baselines = {name: figures[metric] for name, figures in metrics["baselines"].items()}
    facts = {
        "bundle": str(out),
        **{name: metrics[name] for name in ("rule", "trial", "valid", "test", "test_users")},
        "baselines": baselines,
        "verdict": metrics["verdict"],
        "warning": metrics["warning"],
    }
    words = tested_words(metrics)
    if form == "table":
        print_facts(facts, form)
        print_words(words)
    else:
        print_facts({**facts, "words": words}, form)
    say_next(after_export(out), settings, quiet=quiet)
