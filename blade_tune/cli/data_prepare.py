"""Commands `blade-tune data prepare ...`, which make a log into the split that studies read."""

from pathlib import Path
from typing import Any

import click

from blade_tune.cli.behaviors import behavior_options, named_behaviors
from blade_tune.cli.data_append import append_option, append_rows
from blade_tune.cli.given import given_command, require_none_beside
from blade_tune.cli.groups import OfLogs
from blade_tune.cli.options import Command, format_option, quiet_option
from blade_tune.cli.preparing import (
    RECIPE_FLAGS,
    out_option,
    recipe_of,
    recipe_options,
    replace_options,
    replacement_of,
    run_and_write_study,
    source_option,
)
from blade_tune.config import parse
from blade_tune.data.raw.settings import LogFormat

# Flags of how a log is split, which may stand beside a mapping file and count more than it
BESIDE_MAPPING = ("--name", "--out", *RECIPE_FLAGS.values())


@click.group(cls=OfLogs)
def prepare() -> None:
    """Make a log into the split that studies read.

    Rows without a behavior and repeats are left out, then rare items and users; the last two target interactions of
    each user become test and valid rows. What was left out is counted. The log itself is left alone.

    \b
    Example:
      blade-tune data prepare kuaisar --source data/archives/KuaiSAR_v2.zip
    """  # noqa: D301


# What the columns of a log mean: option -> placeholder, help
COLUMNS = {
    "user": ("COLUMN", "Column of the user's id."),
    "item": ("COLUMN", "Column of the item's id."),
    "time": ("COLUMN", "Column of the time: numbers, or dates. Without it, the order of the rows."),
    "type": (
        "COLUMN",
        "Column that names an event's behavior. Without it, each behavior has a column.",
    ),
    "session": (
        "COLUMN",
        "Column whose rows of one user and item merge; else those of the same time do.",
    ),
    "header": ("LIST", "Names of all columns, of files that have no header line."),
    "encoding": ("NAME", "Encoding of text files, such as latin-1. Default: utf-8."),
    "date_order": (
        "day|month",
        "What comes first in dates such as 12/1/2010, where no row shows it.",
    ),
    "seen": (
        "LIST",
        "Columns, or values of --type, by which a user only knows an item; * for all other rows. Such an item is "
        "not recommended.",
    ),
}


def columns_options(command: Command) -> Command:
    """Add the options on what the columns of a log mean to a command."""
    # Each decorator puts its option first, so the last one comes first
    for name, (metavar, words) in reversed(COLUMNS.items()):
        command = click.option(f"--{name.replace('_', '-')}", metavar=metavar, help=words)(command)
    return command


MEANING = (
    click.option(
        "--auxiliary",
        metavar="LIST",
        help='The behaviors that are no targets; "" for none. Default: the first of several.',
    ),
    click.option(
        "--keep-repeats",
        is_flag=True,
        help="Keep the same user, item and set at a later time, which else is left out.",
    ),
    click.option(
        "--name",
        metavar="NAME",
        help="Name of the data set and of its study. Default: that of the file or folder.",
    ),
)


def log_options(command: Command) -> Command:
    """Add the options on what a log of one's own means to a command, all but its --source."""
    for option in reversed(MEANING):
        command = option(command)
    return columns_options(behavior_options(command))


@prepare.command("event-log")
@source_option(required=True)
@log_options
@click.option(
    "--license",
    "license_",
    default="the owner's own",
    metavar="TEXT",
    help="License of the data, noted.",
)
@out_option
@append_option
@replace_options
@recipe_options
@format_option
@quiet_option
def event_log(
    source: Path,
    auxiliary: str | None,
    keep_repeats: bool,
    name: str | None,
    license_: str,
    out: Path | None,
    append: bool,
    form: str,
    quiet: bool,
    **more: Any,
) -> None:
    """Prepare your own log, and write a study of it.

    CSV and other separated text, JSON or Parquet, compressed, in an archive or a folder; a row an event, or a row an
    interaction with a column a behavior. Columns are found by name. Rows of one user, item and time (or session) are
    one interaction with a set of behaviors. The log and a study file that is there already are left alone; with
    --force, one that was not edited is written anew. With --append newer rows are added to a log that was prepared:
    only --source and --name are needed. A mapping file (.yaml) as --source says all this in the place of flags, also of
    several files with columns of their own; `data look` writes one.

    \b
    Example:
      blade-tune data prepare event-log --source shop.csv --user user --item item --time time --type event
      --behaviors view,cart,buy --auxiliary view
    """  # noqa: D301
    from blade_tune.cli.replacement import data_section
    from blade_tune.data.config import data_config
    from blade_tune.data.raw.find import name_of
    from blade_tune.data.raw.forms import LogPart
    from blade_tune.data.raw.mapping import MappingFile, is_mapping
    from blade_tune.data.raw.prepare import Preparation

    if append:
        append_rows(source, name, out, form, quiet=quiet)
        return
    mapping = MappingFile.read(source) if is_mapping(source) else None
    if mapping:
        # What the columns mean is said by the file
        require_none_beside(source, BESIDE_MAPPING)
        said, parts = mapping.log, mapping.parts()
        auxiliary = said.auxiliary_flag
        name, license_ = name or said.name, said.license or license_
        given = {flag: more[flag] for flag in RECIPE_FLAGS if more[flag] is not None}
        more = {flag: more[flag] for flag in ("force", "settings")}
        more |= said.recipe.model_dump(exclude_unset=True) | given
    else:
        # What the columns mean is said by flags
        for flag in ("user", "item"):
            if more[flag] is None:
                raise click.MissingParameter(param_hint=f"'--{flag}'", param_type="option")
        settings = named_behaviors(more) | {"keep_repeats": keep_repeats}
        log_format = parse(LogFormat, named_columns(more) | settings, "options")
        parts = (LogPart(source, log_format),)

    # The study's section on the data, checked before the log is read
    name = name or name_of(source)
    names = list(parts[0].form.behaviors)
    if auxiliary is None:
        auxiliary = names[0] if len(names) > 1 else ""
    listed = [entry.strip() for entry in auxiliary.split(",")] if auxiliary else []
    config = data_config(data_section(name, names, listed), str(source) if mapping else "options")
    section = data_section(name, names, config.auxiliary)

    # Prepare the log, and write a study of it
    out = out or Path("data") / name
    replacement = replacement_of(out, more)
    preparation = Preparation(
        name,
        parts,
        config.auxiliary,
        recipe_of(more),
        license_,
        keeps_log=True,
        command=given_command(),
        mapping=source if mapping else None,
    )
    run_and_write_study(preparation, replacement, section, form, quiet=quiet)


def named_columns(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of `columns_options` out of a command's options, and return the settings of a LogFormat.

    Options that were not given are left out; an empty one says that there is no such column.
    """
    given = {name: options.pop(name) for name in COLUMNS}
    settings: dict[str, Any] = {n: text or None for n, text in given.items() if text is not None}
    for name in ("header", "seen"):
        if name in settings:
            parts = (settings[name] or "").split(",")
            settings[name] = [part.strip() for part in parts if part.strip()]
    return settings
