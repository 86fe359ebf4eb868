"""Command `blade-tune ablate`, which takes parts out of the confirmed winner, one at a time."""

import click

from blade_tune.cli.effects import opening_of, show_effects, test_option
from blade_tune.cli.executor import executor_of
from blade_tune.cli.options import (
    RUNS_FLAGS,
    format_option,
    quiet_option,
    run_settings,
    seeds_option,
    study_option,
)
from blade_tune.fleet.settings import RunSettings


@click.command()
@study_option
@seeds_option
@test_option
@run_settings(*RUNS_FLAGS)
@format_option
@quiet_option
def ablate(
    study: str, seeds: int | None, test: bool, settings: RunSettings, form: str, quiet: bool
) -> None:
    """Take parts out of the confirmed winner, one at a time.

    Which parts is for the model to say; BLADE's are those of its paper's Table 3. All configurations are trained on the
    seeds of the confirmation, and runs that are stored are not made again. The winner was chosen on the validation
    rows, so differences allow for what it owes to that; on test rows (--test) it owes nothing. Tables are also written
    to RESULTS/STUDY/effects/.

    \b
    Example:
      blade-tune ablate --study demo
    """  # noqa: D301
    from blade_tune.selection.effects import ablations, study_effects

    opening = opening_of("ablate --test", settings) if test else None
    with executor_of(settings, quiet) as executor:
        stored = settings.workspace.study_to_work_on(study)
        tables = study_effects(stored, ablations(stored), seeds, executor, opening)
    show_effects(stored, tables, form)
