"""Command `blade-tune sweep`, which varies parameters around the confirmed winner."""

import click

from blade_tune.cli.effects import opening_of, show_effects, test_option
from blade_tune.cli.executor import executor_of
from blade_tune.cli.groups import STUDIED, InGroups
from blade_tune.cli.options import (
    RUNS_FLAGS,
    paper_format_option,
    quiet_option,
    run_settings,
    seeds_option,
    study_option,
)
from blade_tune.fleet.settings import RunSettings


@click.command(cls=InGroups, own=STUDIED)
@study_option
@click.option(
    "--param",
    "params",
    multiple=True,
    required=True,
    metavar="NAME",
    help="Dotted name; may be repeated.",
)
@click.option(
    "--values",
    multiple=True,
    required=True,
    metavar="LIST",
    help="Its values, separated by commas.",
)
@click.option("--grid", "together", is_flag=True, help="Vary them together, every combination.")
@click.option(
    "--line",
    "lines",
    multiple=True,
    metavar="NAME=VALUE,...",
    help="With --grid: one more configuration beside it; may be repeated.",
)
@seeds_option
@test_option
@run_settings(*RUNS_FLAGS)
@paper_format_option
@quiet_option
def sweep(
    study: str,
    params: tuple[str, ...],
    values: tuple[str, ...],
    together: bool,
    lines: tuple[str, ...],
    seeds: int | None,
    test: bool,
    settings: RunSettings,
    form: str,
    quiet: bool,
) -> None:
    """Vary parameters around the confirmed winner.

    Each --param goes with the --values at its place; several are varied one after the other or, with --grid, together,
    the rest as the winner has it. Values may lie outside the search space. All configurations are trained on the seeds
    of the confirmation, and runs that are stored are not made again. The winner was chosen on the validation rows, so
    differences allow for what it owes to that; on test rows (--test) it owes nothing. Tables are also written to
    RESULTS/STUDY/effects/. BLADE's paper sums two contrastive losses where ours is their mean: its lambda of 0.1 is
    model.lambda_=0.2 here.

    BLADE's Figure 3, operators over rho beside the line without augmentation: --grid --param model.augmentation
    --values add,mask,flip --param model.rho --values 0.1,0.5,0.9 --line model.augmentation=none.

    \b
    Example:
      blade-tune sweep --study demo --param model.lambda_ --values 0.01,0.1,1
    """  # noqa: D301
    from blade_tune.errors import ConfigError
    from blade_tune.selection.effects import grid, study_effects, sweeps

    if len(params) != len(values) or len(set(params)) < len(params):
        raise ConfigError(
            f"each --param must have its own --values, got {len(params)} and {len(values)}."
        )
    if lines and not together:
        raise click.UsageError("--line is a configuration beside a grid: give --grid too.")
    opening = opening_of("sweep --test", settings) if test else None
    with executor_of(settings, quiet) as executor:
        stored = settings.workspace.study_to_work_on(study)
        asked = dict(zip(params, values, strict=True))
        wanted = grid(stored, asked, lines) if together else sweeps(stored, asked)
        tables = study_effects(stored, wanted, seeds, executor, opening)
    show_effects(stored, tables, form)
