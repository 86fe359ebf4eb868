"""Tables of effects on stdout and as files."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from blade_tune.cli.output import print_rows

if TYPE_CHECKING:
    from blade_tune.selection.effects import Effects
    from blade_tune.study.stored import StoredStudy


def show_effects(stored: "StoredStudy", tables: "Sequence[Effects]", form: str) -> None:
    """Print rows, or Markdown for people; write CSV, Markdown and LaTeX beside the study."""
    from blade_tune.report.selection_tables import effect_rows, effect_table, write_files

    for effects in tables:
        write_files(stored.folder.path / "effects", effects.title, effect_table(effects), effect_rows(effects))
    if form == "table":
        from blade_tune.report.text_tables import markdown

        click.echo("\n".join(markdown(effect_table(effects)) for effects in tables), nl=False)
    else:
        print_rows([row for effects in tables for row in effect_rows(effects)], form)
