"""Command `blade-tune ablate`, which takes parts out of the confirmed winner, one at a time."""

from typing import TYPE_CHECKING

import click

from blade_tune.cli.comparisons import require_even, show_comparison, uneven_option
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

if TYPE_CHECKING:
    from blade_tune.selection.comparison import Comparisons
    from blade_tune.selection.runs import RunExecutor
    from blade_tune.selection.scores import EvaluatedPart
    from blade_tune.study.stored import StoredStudy


@click.command(cls=InGroups, own=STUDIED)
@study_option
@seeds_option
@click.option(
    "--tune",
    "trials",
    type=click.IntRange(min=1),
    metavar="N",
    help="Search each variant anew, N scored trials, and confirm its winner.",
)
@uneven_option
@test_option
@run_settings(*RUNS_FLAGS)
@paper_format_option
@quiet_option
def ablate(
    study: str,
    seeds: int | None,
    trials: int | None,
    uneven: bool,
    test: bool,
    settings: RunSettings,
    form: str,
    quiet: bool,
) -> None:
    """Take parts out of the confirmed winner, one at a time.

    Which parts is for the model to say; BLADE's are those of its paper's Table 3, and the contrast without augmentation
    and past steps without their sets. All configurations are trained on the seeds of the confirmation, and runs that
    are stored are not made again. The winner was chosen on the validation rows, so differences allow for what it owes
    to that; on test rows (--test) it owes nothing. With --tune each variant is a search STUDY.ablate-LABEL over the
    study's space, whose confirmed winner is compared with the study's own. Tables are also written to
    RESULTS/STUDY/effects/.

    \b
    Example:
      blade-tune ablate --study demo
    """  # noqa: D301
    from blade_tune.selection.effects import ablations, study_effects

    if uneven and trials is None:
        raise click.UsageError("--uneven is of budgets, which only searches have: give --tune N.")
    if seeds is not None and trials is not None:
        raise click.UsageError(
            "--tune takes the seeds of the confirmation: leave --seeds out, or confirm on so many first."
        )
    if trials is not None:
        part: EvaluatedPart = "test" if test else "valid"
        with executor_of(settings, quiet) as executor:
            stored = settings.workspace.study_to_work_on(study)
            comparisons, differing = _retuned(stored, trials, part, uneven, executor)
        title = "ablation, tuned" if part == "valid" else "ablation, tuned, test"
        show_comparison(comparisons, differing, stored.folder.path / "effects" / title, form)
        return
    opening = opening_of("ablate --test", settings) if test else None
    with executor_of(settings, quiet) as executor:
        stored = settings.workspace.study_to_work_on(study)
        tables = study_effects(stored, ablations(stored), seeds, executor, opening)
    show_effects(stored, tables, form)


def _retuned(
    stored: "StoredStudy",
    trials: int,
    part: "EvaluatedPart",
    uneven: bool,
    executor: "RunExecutor",
) -> "tuple[Comparisons, list[str]]":
    """Search each variant anew and compare it with the study, and say which budgets differ."""
    from blade_tune.selection import compare as comparing
    from blade_tune.selection.contenders import compare
    from blade_tune.selection.retuned import COMMAND, require_budget, run_variants

    if not uneven:
        require_budget(stored, trials)
    studies = run_variants(stored, trials, executor)
    differing = comparing.uneven(studies, gpu_hours=None)
    require_even(differing, uneven)
    opening = opening_of(f"{COMMAND} --test", executor.settings)
    return compare(studies, part, opening, against=stored.label), differing
