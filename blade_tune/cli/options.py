"""Options that several commands share, and decorators that add them."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import click

from blade_tune.cli.completion import complete_stored, complete_study, complete_trial
from blade_tune.fleet.settings import RunSettings

Command = TypeVar("Command", bound=Callable[..., object])

METAVARS = {  # run settings that commands have flags for, with the placeholders that help texts show
    "trials": "N",
    "data": "DIR",
    "workers": "N",
    "threads": "N",
    "device": "NAME",
    "gpus": "LIST",
    "per_gpu": "K",
    "time": "DURATION",
    "trial_time": "DURATION",
    "gpu_hours": "HOURS",
    "keep": "K",
    "max_consecutive_failures": "N",
    "storage": "URL",
    "results": "DIR",
    "heartbeat_s": "SECONDS",
    "grace_s": "SECONDS",
    "cpu_price": "PRICE",
    "gpu_price": "PRICE",
}
PRICE_FLAGS = ("cpu_price", "gpu_price")
WORK_FLAGS = tuple(name for name in METAVARS if name not in ("trials", *PRICE_FLAGS))
# Runs of a list of configurations all keep their weights, and end with the list.
RUNS_FLAGS = tuple(name for name in WORK_FLAGS if name not in ("keep", "gpu_hours"))
STORAGE_FLAGS = ("storage", "results")


def run_flags(*names: str) -> Callable[[Command], Command]:
    """Return a decorator that adds flags of run settings to a command.

    The command gets each flag as it was typed, or None, and resolves the settings itself.
    """

    def add(command: Command) -> Command:
        for name in reversed(names):
            field = RunSettings.model_fields[name]
            words = field.description or ""
            help_text = f"{words[0].upper()}{words[1:]}."
            if field.default is not None:
                help_text += f" Default: {field.default}."
            flag = f"--{name.replace('_', '-')}"
            command = click.option(flag, name, metavar=METAVARS[name], help=help_text)(command)
        return command

    return add


def run_settings(*names: str) -> Callable[[Command], Command]:
    """Return a decorator that adds flags of run settings to a command, which gets the resolved `settings`.

    They are resolved from flags, files and the environment. If the database is among the flags, its errors become one
    line without a password, wherever in the command they occur.
    """

    def add(command: Command) -> Command:
        @wraps(command)
        def settle(*args: Any, **options: Any) -> object:
            from blade_tune.fleet.precedence import resolve
            from blade_tune.spec.catalog import StudySource

            study = options.get("study")
            flags = {name: options.pop(name) for name in names}
            source = StudySource.find(study) if study else None
            settings = resolve(flags, source).settings
            if "storage" not in names:
                return command(*args, settings=settings, **options)
            from blade_tune.storage.connect import storage_errors

            with storage_errors(settings.workspace.url):
                return command(*args, settings=settings, **options)

        return run_flags(*names)(cast("Command", settle))

    return add


study_option = click.option(
    "--study",
    "-s",
    required=True,
    metavar="NAME|FILE",
    shell_complete=complete_study,
    help="Name of the study, or the path of its file.",
)
stored_study_option = click.option(
    "--study",
    "-s",
    required=True,
    metavar="NAME|FILE",
    shell_complete=complete_stored,
    help="Name of the stored study, or the path of its file.",
)
# A trial is named in the same way everywhere: `show 7`, `reproduce 7`.
trial_argument = click.argument(
    "number", type=click.IntRange(min=0), metavar="TRIAL", shell_complete=complete_trial
)
format_option = click.option(
    "--format",
    "-f",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
)
paper_format_option = click.option(
    "--format",
    "-f",
    "form",
    type=click.Choice(["table", "json", "csv", "markdown", "latex"]),
    default="table",
    show_default=True,
)
seeds_option = click.option(
    "--seeds",
    type=click.IntRange(min=2),
    metavar="N",
    help="Fresh seeds that all configurations share.",
)
told_option = click.option(
    "--told",
    metavar="LIST",
    default="",
    help="Show winners also where models are told these sets of the item to predict: truth, mode, constant.",
)
quiet_option = click.option(
    "--quiet", "-q", is_flag=True, help="No progress on stderr; warnings and errors remain."
)


def reads_study(command: Command) -> Command:
    """Add the options of a command that prints something about a stored study: study, database and format."""
    for option in (format_option, run_settings(*STORAGE_FLAGS), stored_study_option):
        command = option(command)
    return command
