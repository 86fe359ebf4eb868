"""What the commands `blade-tune data prepare ...` share: options, and the run that ends with the next command."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from blade_tune.cli.options import STORAGE_FLAGS, Command, run_settings
from blade_tune.cli.prepared_summary import print_summary
from blade_tune.cli.steps import watch_steps
from blade_tune.config import parse
from blade_tune.data.raw.settings import Recipe

if TYPE_CHECKING:
    from blade_tune.cli.replacement import Replacement
    from blade_tune.data.raw.prepare import Preparation

RECIPE = {
    "min_item_targets": int,
    "min_user_targets": int,
    "until_stable": bool,
    "sample_users": int,
    "seed": int,
}
RECIPE_FLAGS = {name: f"--{name.replace('_', '-')}" for name in RECIPE}


def recipe_options(command: Command) -> Command:
    """Add an option for each field of a recipe to a command."""
    # Each decorator puts its option first, so the last one comes first
    for name, kind in reversed(RECIPE.items()):
        field = Recipe.model_fields[name]
        words = field.description or ""
        help_text = f"{words[0].upper()}{words[1:]}."
        settings: dict[str, Any] = {"is_flag": True}
        if kind is not bool:
            settings = {"type": kind, "metavar": "N"}
            if field.default is not None:
                help_text += f" Default: {field.default}."
        option = click.option(RECIPE_FLAGS[name], default=None, help=help_text, **settings)
        command = option(command)
    return command


def source_option(*, required: bool) -> Callable[[Command], Command]:
    """Return a decorator that adds the option which names a log to a command."""
    return click.option(
        "--source",
        required=required,
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="The log: a file, its archive, a folder of files, or a pattern in quotes.",
    )


out_option = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder to write. Default: data/NAME.",
)


def replace_options(command: Command) -> Command:
    """Add the options on whether an older preparation is replaced, and on where studies of it may be stored."""
    for option in (
        run_settings(*STORAGE_FLAGS),
        click.option(
            "--force",
            is_flag=True,
            help="Replace prepared data that studies depend on; says which break.",
        ),
    ):
        command = option(command)
    return command


def recipe_of(flags: dict[str, Any]) -> Recipe:
    """Return the recipe that the flags of `recipe_options` describe."""
    settings = {name: value for name, value in flags.items() if value is not None}
    return parse(Recipe, settings, "options")


def replacement_of(out: Path, options: dict[str, Any]) -> "Replacement":
    """Take `force` and `settings` out of a command's options, and return the Replacement that they describe."""
    from blade_tune.cli.replacement import Replacement

    return Replacement(out, force=options.pop("force"), settings=options.pop("settings"))


def run(
    preparation: "Preparation", replacement: "Replacement", form: str, study: str, *, quiet: bool
) -> None:
    """Prepare a log, print what became of it and what comes next.

    Args:
        preparation: the log and how to prepare it.
        replacement: where to, and whether it may replace what is there.
        form: how to print facts: "table", "json" or "csv".
        study: flags of the commands that come next.
        quiet: whether to print facts alone.
    """
    from blade_tune.data.raw.prepare import prepare

    with watch_steps(quiet) as on_step:
        facts = prepare(preparation, replacement.out, on_step, replacement.allow)
    print_summary(facts, replacement.out, form)
    if not quiet:
        click.echo(f"what matters in it: blade-tune data xray {study}", err=True)
        click.echo(f"next: blade-tune run {study}", err=True)


def run_and_write_study(
    preparation: "Preparation",
    replacement: "Replacement",
    section: dict[str, Any],
    form: str,
    *,
    quiet: bool,
) -> None:
    """Prepare a log as `run` does, and write a study of it, unless there is one.

    With --force, a study that nobody edited is written anew.

    Args:
        preparation: the log and how to prepare it.
        replacement: where to, and whether it may replace what is there.
        section: the section `data` of the study.
        form: how to print facts: "table", "json" or "csv".
        quiet: whether to print facts alone.
    """
    from blade_tune.cli.replacement import check_fits
    from blade_tune.spec.template import write_study

    study = Path("studies") / f"{preparation.name}.yaml"
    is_ours = replacement.wrote(study)
    if is_ours:
        replacement.rewritten.append(study)
    run(preparation, replacement, form, f"--study {preparation.name}", quiet=quiet)
    if is_ours:
        study.unlink()
    may_repeat = preparation.form.keep_repeats
    if not write_study(study, section, replacement.out, may_repeat=may_repeat):
        check_fits(study, section, replacement.out)
