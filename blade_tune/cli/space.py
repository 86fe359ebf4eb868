"""Commands `blade-tune space ...`, which print and check search spaces."""

from typing import TYPE_CHECKING

import click

from blade_tune.cli.completion import complete_model, complete_space
from blade_tune.cli.groups import InOrder
from blade_tune.cli.options import format_option
from blade_tune.cli.output import print_rows, print_words
from blade_tune.errors import ConfigError
from blade_tune.spec.recipes import OF_FILES, RECIPES, RecipeName

if TYPE_CHECKING:
    from blade_tune.config import Settings
    from blade_tune.space import Space

MOST = 100_000  # combinations that are constructed: seconds

recipe_option = click.option(
    "--recipe",
    type=click.Choice(RECIPES),
    default=OF_FILES,
    show_default=True,
    help="As which recipe has the space.",
)
model_option = click.option(
    "--model",
    shell_complete=complete_model,
    help="Model that the space is for; default: what its name begins with.",
)
name_argument = click.argument("name", shell_complete=complete_space)


@click.group(cls=InOrder)
def space() -> None:
    """List search spaces, look at them and check them.

    A space says what may vary; nothing here runs a trial.

    \b
    Example:
      blade-tune space show blade
    """  # noqa: D301


@space.command("list")
@format_option
def list_spaces(form: str) -> None:
    """Print a row a space: its model, and how much it searches.

    Free parameters and configurations are those under the recipe shared, before it fixes anything. Spaces are the files
    of ./search_spaces and of the package; one without a model is a block that others include. Nothing is written.

    \b
    Example:
      blade-tune space list
    """  # noqa: D301
    from blade_tune.report.spaces import all_space_rows

    print_rows(all_space_rows(), form)


@space.command()
@name_argument
@model_option
@recipe_option
@format_option
def show(name: str, model: str | None, recipe: RecipeName, form: str) -> None:
    """Print what a space searches, fixes, and leaves at its default.

    NAME is one in ./search_spaces or in the package, or the path of a file. It is checked first; nothing is written.

    \b
    Example:
      blade-tune space show blade-extended
    """  # noqa: D301
    from blade_tune.report.spaces import space_rows
    from blade_tune.spec.space_check import check_space

    checked, configs = _space(name, model, recipe)
    check_space(checked, configs)
    print_rows(space_rows(checked, configs), form)


@space.command()
@name_argument
@model_option
@recipe_option
def check(name: str, model: str | None, recipe: RecipeName) -> None:
    """Check a space against its model.

    Names, types, ranges, combinations and idle parameters of the space NAME, or of a file: up to 100,000 combinations
    are constructed one by one, of more a sample, and the answer says which. Nothing is written. Where it does not fit,
    the exit code is 2 and the message has the rule that is broken.

    \b
    Example:
      blade-tune space check search_spaces/mine.yaml --model blade
    """  # noqa: D301
    from blade_tune.spec.space_check import check_space

    checked, configs = _space(name, model, recipe)
    coverage = check_space(checked, configs, MOST)
    count = checked.count()
    size, points = "a continuous space", "points and ends of ranges"
    if count is not None:
        size, points = f"{count:,} configurations", "points"
    share = f"all {coverage.total:,}"
    if coverage.constructed < coverage.total:
        share = f"a sample of {coverage.constructed:,} of {coverage.total:,}"
    print_words(f"{checked.place}: fits; {len(checked.free)} free parameters, {size}.")
    print_words(f"constructed: {share} combinations of {points}.")


def _space(
    name: str, model: str | None, recipe: RecipeName
) -> "tuple[Space, dict[str, type[Settings]]]":
    from blade_tune.config import known_names
    from blade_tune.models import MODELS
    from blade_tune.spec.catalog import find
    from blade_tune.spec.definition import config_classes, is_fitted
    from blade_tune.spec.recipes import complete
    from blade_tune.spec.space_files import load_space

    path = find("search_spaces", name)
    if model and model not in MODELS:
        raise ConfigError(f"--model: unknown model {model!r}. {known_names(model, MODELS)}")
    model = model or path.stem.partition("-")[0]
    if model not in MODELS:
        raise ConfigError(
            f"{path}: say which model the space is for with --model, one of {', '.join(MODELS)}."
        )
    configs = config_classes(model)
    checked = load_space(path, recipe)
    if not is_fitted(model):
        checked = complete(checked, recipe, configs)
    return checked, configs
