"""Output of comparisons of searches, by their models or their changes, and what unequal budgets are answered with."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from blade_tune.cli.output import print_rows, print_tables, print_words

if TYPE_CHECKING:
    from blade_tune.selection.comparison import Comparisons

uneven_option = click.option(
    "--uneven",
    is_flag=True,
    help="Print the table though budgets differ by over 5%, with a footnote.",
)


def require_even(differing: Sequence[str], is_allowed: bool) -> None:
    """Refuse a table whose budgets differ, unless that is allowed.

    Args:
        differing: sentences on budgets that are not equal.
        is_allowed: whether `--uneven` was given.

    Raises:
        ConfigError: they differ.
    """
    from blade_tune.errors import ConfigError

    if differing and not is_allowed:
        raise ConfigError(
            f"the budgets of a table must be equal within 5%: {'; '.join(differing)}; --uneven prints it all the "
            "same, with a footnote."
        )


def show_comparison(
    comparisons: "Comparisons", differing: Sequence[str], path: Path, form: str
) -> None:
    """Print the table of a comparison or its rows, write both to files, and warn of winners below a baseline.

    Args:
        comparisons: the compared searches.
        differing: sentences on budgets that are not equal, for footnotes.
        path: where the files stand, without the ends of their names.
        form: "table" prints the table for people, "markdown" and "latex" for papers, "json" and "csv" print rows.
    """
    from blade_tune.report.comparison_tables import comparison_rows, comparison_table, least_of
    from blade_tune.report.dashboard import publish
    from blade_tune.report.score_cells import write_files
    from blade_tune.report.winner_words import comparison_words

    for entry in comparisons.entries:
        publish(entry.study)
    for words in comparisons.warnings:
        click.echo(f"WARNING {words}", err=True)
    table, rows = comparison_table(comparisons, differing), comparison_rows(comparisons)
    write_files(path.parent, path.name, table, rows)
    if form in ("json", "csv"):
        print_rows(rows, form)
    else:
        print_tables([table], form, least_of(comparisons))
    if form == "table":
        print_words(comparison_words(comparisons))
