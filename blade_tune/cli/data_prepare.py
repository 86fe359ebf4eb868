"""Commands `blade-tune data prepare ...`, which make a log into the split that studies read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from blade_tune.cli.data_append import append_option, append_rows
from blade_tune.cli.given import given_command
from blade_tune.cli.groups import InOrder
from blade_tune.cli.options import Command, format_option, quiet_option
from blade_tune.cli.preparing import (
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


@click.group(cls=InOrder)
def prepare() -> None:
    """Make a log into the split that studies read.

    Rows without a behavior and repeats are left out, then rare items and users; the last two target interactions of
    each user become test and valid rows. What was left out is counted. The log itself is left alone.

    \b
    Example:
      blade-tune data prepare kuaisar --source data/archives/KuaiSAR_v2.zip
    """  # noqa: D301


def columns_options(*, required: bool) -> Callable[[Command], Command]:
    """Return a decorator that adds the options on what the columns of a log mean to a command."""
    flags = (
        ("user", "COLUMN", required, "Column of the user's id."),
        ("item", "COLUMN", required, "Column of the item's id."),
        (
            "time",
            "COLUMN",
            False,
            "Column of the time: numbers, or dates. Without it, the order of the rows.",
        ),
        (
            "type",
            "COLUMN",
            False,
            "Column that names an event's behavior. Without it, each behavior has a column.",
        ),
        (
            "session",
            "COLUMN",
            False,
            "Column whose rows of one user and item merge; else those of the same time do.",
        ),
        ("header", "LIST", False, "Names of all columns, of files that have no header line."),
        ("encoding", "NAME", False, "Encoding of text files, such as latin-1. Default: utf-8."),
        (
            "date-order",
            "day|month",
            False,
            "What comes first in dates such as 12/1/2010, where no row shows it.",
        ),
    )

    def add(command: Command) -> Command:
        for name, metavar, is_required, words in reversed(flags):
            command = click.option(f"--{name}", metavar=metavar, required=is_required, help=words)(
                command
            )
        return command

    return add


@prepare.command("event-log")
@source_option
@columns_options(required=False)
@click.option(
    "--behaviors",
    metavar="LIST",
    help="The behaviors, as their column or the values of --type: view,cart,buy. view=page_view names one anew, and "
    "view=* is a behavior of every row.",
)
@click.option(
    "--auxiliary",
    metavar="BEHAVIOR",
    help='The behavior that is no target; "" if all are. Default: the first of several.',
)
@click.option(
    "--keep-repeats",
    is_flag=True,
    help="Keep the same user, item and set at a later time, which else is left out.",
)
@click.option(
    "--name",
    metavar="NAME",
    help="Name of the data set and of its study. Default: that of the file or folder.",
)
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
    behaviors: str | None,
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
    only --source and --name are needed.

    \b
    Example:
      blade-tune data prepare event-log --source shop.csv --user user --item item --time time --type event
      --behaviors view,cart,buy --auxiliary view
    """  # noqa: D301
    from blade_tune.cli.replacement import data_section
    from blade_tune.data.config import data_config
    from blade_tune.data.raw.find import name_of
    from blade_tune.data.raw.forms import LogPart
    from blade_tune.data.raw.prepare import Preparation

    if append:
        append_rows(source, name, out, form, quiet=quiet)
        return
    if more["user"] is None or more["item"] is None or behaviors is None:
        flag = "behaviors" if more["user"] and more["item"] else "item" if more["user"] else "user"
        raise click.MissingParameter(param_hint=f"'--{flag}'", param_type="option")

    # What the columns mean
    names, columns = _named_behaviors(behaviors)
    settings = {"behaviors": names, "columns": columns, "keep_repeats": keep_repeats}
    log_format = parse(LogFormat, named_columns(more) | settings, "options")

    # The study's section on the data, checked before the log is read
    name = name or name_of(source)
    if auxiliary is None:
        auxiliary = names[0] if len(names) > 1 else ""
    auxiliary = auxiliary or None
    section = data_section(name, names, auxiliary)
    data_config(section, "options")

    # Prepare the log, and write a study of it
    out = out or Path("data") / name
    replacement = replacement_of(out, more)
    preparation = Preparation(
        name,
        (LogPart(source, log_format),),
        auxiliary,
        recipe_of(more),
        license_,
        keeps_log=True,
        command=given_command(),
    )
    run_and_write_study(preparation, replacement, section, form, quiet=quiet)


def _named_behaviors(text: str) -> tuple[list[str], list[str]]:
    """Return the behaviors that --behaviors lists, and the column or value of --type that stands for each."""
    names, columns = [], []
    for entry in text.split(","):
        name, _, column = map(str.strip, entry.partition("="))
        names.append(name)
        columns.append(column or name)
    return names, columns


def named_columns(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of `columns_options` out of a command's options, and return the settings of a LogFormat.

    Options that were not given are left out; an empty one says that there is no such column.
    """
    names = ("user", "item", "time", "type", "session", "header", "encoding", "date_order")
    given = {name: options.pop(name) for name in names}
    settings: dict[str, Any] = {n: text or None for n, text in given.items() if text is not None}
    if "header" in settings:
        settings["header"] = [
            name.strip() for name in (settings["header"] or "").split(",") if name
        ]
    return settings
