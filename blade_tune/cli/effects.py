"""Output of ablations and sweeps as tables on stdout and as files."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from blade_tune.cli.output import print_rows, print_tables
from blade_tune.fleet.devices import usable_device

if TYPE_CHECKING:
    from blade_tune.fleet.settings import RunSettings
    from blade_tune.selection.effects import Effects
    from blade_tune.selection.testing import Opening
    from blade_tune.study.stored import StoredStudy


test_option = click.option(
    "--test",
    is_flag=True,
    help="Compare on the test rows, opened for every run; each is a line of the ledger.",
)


def opening_of(command: str, settings: "RunSettings") -> "Opening":
    """Return how a command opens the test rows."""
    from blade_tune.selection.testing import Opening

    return Opening(command, usable_device(settings.device), settings.data)


def show_effects(stored: "StoredStudy", tables: "Sequence[Effects]", form: str) -> None:
    """Print tables of effects and write them as CSV, Markdown and LaTeX to the study's folder.

    Args:
        stored: the study.
        tables: the effects of an ablation or of sweeps, a table each.
        form: "table" prints tables for people, "markdown" and "latex" for papers, "json" and "csv" print rows.
    """
    from blade_tune.report.effect_tables import effect_rows, effect_table
    from blade_tune.report.score_cells import SHOWN, metric_name, write_files
    from blade_tune.selection.protocol import study_protocol

    folder = stored.folder.path / "effects"
    shown = []
    for effects in tables:
        table = effect_table(effects, study_protocol(stored, effects.num_seeds))
        write_files(folder, effects.title, table, effect_rows(effects))
        shown.append(table)
    if form not in ("json", "csv"):
        least = [metric_name(metric) for metric in SHOWN if metric != tables[0].metric]
        print_tables(shown, form, least)
        return
    rows = []
    for effects in tables:
        rows += effect_rows(effects)
    print_rows(rows, form)
