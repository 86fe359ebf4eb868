"""Command `blade-tune models`, which prints a row for each model."""

import click

from blade_tune.cli.options import format_option
from blade_tune.cli.output import print_rows


@click.command()
@format_option
def models(form: str) -> None:
    """Print a row a model: what it is, and what it reads.

    The paper, whether it is fitted at once or trained in epochs, whether it reads items alone, also behavior types or
    whole behavior sets, whether it is told the set of the item to predict, and its search spaces. Any of them goes with
    `run --model`. Nothing is trained.

    \b
    Example:
      blade-tune models -f json
    """  # noqa: D301
    # It loads torch, for models declare what they read
    from blade_tune.report.models import model_rows

    print_rows(model_rows(), form)
