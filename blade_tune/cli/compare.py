"""Command `blade-tune compare`, which tunes models under equal budgets and compares them."""

import math
from typing import TYPE_CHECKING, cast, get_args

import click
from click.core import ParameterSource

from blade_tune.choices import NextItemLoss
from blade_tune.cli.comparisons import require_even, show_comparison, uneven_option
from blade_tune.cli.completion import complete_files, complete_models
from blade_tune.cli.executor import executor_of
from blade_tune.cli.groups import STUDIED, InGroups
from blade_tune.cli.options import (
    WORK_FLAGS,
    paper_format_option,
    quiet_option,
    run_settings,
    told_option,
)
from blade_tune.cli.output import print_rows
from blade_tune.fleet.devices import usable_device
from blade_tune.fleet.settings import RunSettings
from blade_tune.models import MODELS
from blade_tune.spec.recipes import RECIPES, RecipeName

if TYPE_CHECKING:
    from blade_tune.selection.compare import Budget
    from blade_tune.selection.scores import EvaluatedPart
    from blade_tune.spec.definition import StudyDefinition


@click.command(cls=InGroups, own=STUDIED)
@click.option(
    "--study",
    "-s",
    required=True,
    metavar="NAME|FILE",
    shell_complete=complete_files,
    help="Study file, by name or path, whose data, protocol, epochs, sampler and pruner all models share.",
)
@click.option(
    "--models",
    required=True,
    metavar="LIST",
    shell_complete=complete_models,
    help="Models, separated by commas, or all.",
)
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    help="Scored trials of each model, in short for --budget trials:N.",
)
@click.option(
    "--budget",
    "asked",
    metavar="UNIT:N",
    default="trials:60",
    show_default=True,
    help="What each search may spend: trials:N, optimizer steps:N, hours:N or cpu_hours:N of training.",
)
@click.option(
    "--loss",
    type=click.Choice(get_args(NextItemLoss)),
    help="One loss for all models, instead of the recipe's or each one's own.",
)
@click.option(
    "--recipe",
    type=click.Choice(RECIPES),
    help="How neural models start and are trained, instead of as the file says.",
)
@click.option(
    "--epochs", type=click.IntRange(min=1), help="Epochs of a trial at most, instead of the file's."
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Configurations to confirm.",
)
@click.option(
    "--seeds", type=click.IntRange(min=2), default=5, show_default=True, help="Fresh seeds of each."
)
@click.option(
    "--test",
    is_flag=True,
    help="Open the test rows for the winners' runs; each is a line of the ledger.",
)
@told_option
@click.option(
    "--against",
    metavar="MODEL",
    help="Compare all others with this model only; the ledger keeps when that was said.",
)
@uneven_option
@click.option(
    "--dry-run",
    is_flag=True,
    help="Time a moment of each model and print what all of it takes at most.",
)
@run_settings(*WORK_FLAGS)
@paper_format_option
@quiet_option
def compare(
    study: str,
    models: str,
    trials: int | None,
    asked: str,
    loss: NextItemLoss | None,
    recipe: RecipeName | None,
    epochs: int | None,
    top: int,
    seeds: int,
    test: bool,
    told: str,
    against: str | None,
    uneven: bool,
    dry_run: bool,
    settings: RunSettings,
    form: str,
    quiet: bool,
) -> None:
    """Tune models under equal budgets and compare them.

    Each model is searched over MODEL-extended, or the space of its own name, with its defaults tried first; its top
    configurations are confirmed on fresh seeds. A combination is made of the best trials of the fitted models beside
    it. The table has mean and deviation, the loss, what each search has cost, what untuned baselines reach, which
    models are not above item_knn, and which are worse beyond chance. It can be stopped and goes on. Validation figures
    without --test: test rows stay sealed. Tables are also written to RESULTS/STUDY.compare/.

    \b
    Example:
      blade-tune compare --study demo --models blade,blade_released --trials 8 --seeds 3
    """  # noqa: D301
    from blade_tune.selection import compare as comparing
    from blade_tune.selection.comparison_name import ComparisonName
    from blade_tune.selection.contenders import compare as compare_winners
    from blade_tune.selection.contrasts import require_known
    from blade_tune.selection.testing import Opening
    from blade_tune.selection.told import target_sets
    from blade_tune.spec.definition import COMBINATION

    # A study for each model, or what they would cost
    budget = _budget(trials, asked, top, seeds, epochs)
    training = comparing.HowTrained(recipe, loss)
    names = [model.strip() for model in models.split(",")]
    if models == "all":  # but for combinations, whose members were tuned before
        names = [name for name in MODELS if name != COMBINATION]
    require_known(against, names)
    wanted = target_sets(told) if told else ()
    definitions = comparing.define(study, names, budget, training)
    if dry_run:
        _print_costs(definitions, budget, settings, form)
        return

    # Search, confirm, and compare what was spent
    with executor_of(settings, quiet) as executor:
        studies = comparing.run_comparison(definitions, budget, executor, against)
        opening = Opening("compare --test", usable_device(settings.device), settings.data)
        differing = comparing.uneven(studies, settings.gpu_hours, budget.limit)
        require_even(differing, uneven)
        part: EvaluatedPart = "test" if test else "valid"
        comparisons = compare_winners(studies, part, opening, against, wanted)

    folder = settings.results / str(ComparisonName.of_search(definitions[0].name))
    show_comparison(comparisons, differing, folder / comparisons.part, form)


def _budget(trials: int | None, asked: str, top: int, seeds: int, epochs: int | None) -> "Budget":
    """Return the budget of each model that the flags ask for.

    Raises:
        UsageError: `--budget` is not of its form, or contradicts `--trials`.
    """
    from blade_tune.selection.compare import FITS, Budget
    from blade_tune.storage.spending import COUNTS, Limit, Unit

    source = click.get_current_context().get_parameter_source("asked")
    if trials is not None:
        if source is not ParameterSource.DEFAULT:
            raise click.UsageError("--trials N is --budget trials:N: give one of the two.")
        asked = f"trials:{trials}"
    unit, _, amount = asked.partition(":")
    try:
        number = float(amount)
    except ValueError:
        number = 0.0
    is_whole = unit not in ("trials", "steps") or number.is_integer()
    if unit not in ("trials", *COUNTS) or not 0 < number < math.inf or not is_whole:
        raise click.UsageError(
            "--budget must be trials:N, steps:N, hours:N or cpu_hours:N with N above 0, "
            f"got {asked}."
        )
    if unit == "trials":
        return Budget(int(number), top, seeds, epochs)
    return Budget(FITS, top, seeds, epochs, Limit(cast(Unit, unit), number))


def _print_costs(
    definitions: "list[StudyDefinition]", budget: "Budget", settings: RunSettings, form: str
) -> None:
    """Print the estimated cost of each model, and the sums."""
    from blade_tune.report.comparison_tables import cost_rows
    from blade_tune.selection.compare import check_sizes
    from blade_tune.selection.cost import estimate

    check_sizes(definitions, settings)
    device = usable_device(settings.device)
    # A combination is made of trials that are not there yet, and takes seconds
    single = [definition for definition in definitions if not definition.members]
    costs = [estimate(definition, budget, settings, device) for definition in single]
    print_rows(cost_rows(costs), form)
