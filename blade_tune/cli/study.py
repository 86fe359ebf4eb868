"""Commands `blade-tune study ...`, which make study files."""

from pathlib import Path

import click

from blade_tune.cli.completion import complete_files
from blade_tune.cli.groups import InOrder


@click.group(cls=InOrder)
def study() -> None:
    """Make study files to edit.

    A study file says what is searched, on which data, and how far; nothing here runs a trial.

    \b
    Example:
      blade-tune study new mine --from demo
    """  # noqa: D301


@study.command()
@click.argument("name")
@click.option(
    "--from",
    "source",
    default="demo",
    show_default=True,
    metavar="NAME|FILE",
    shell_complete=complete_files,
    help="Study file to begin with, by name or path.",
)
def new(name: str, source: str) -> None:
    """Write a study file to edit, as a copy of another.

    The file is studies/NAME.yaml, and the study is called NAME. It has a comment above each section; the sections that
    the other file leaves at their defaults stand there as comments. An existing file is never overwritten.

    \b
    Example:
      blade-tune study new mine --from qk-video
    """  # noqa: D301
    from blade_tune.spec.copy_study import copy_study

    path, other = copy_study(Path("studies"), name, source)
    click.echo(f"{path}: written, a copy of {other}; edit it, docs/studies.md has every key.")
    click.echo(f"next: blade-tune run --study {name} --dry-run", err=True)
