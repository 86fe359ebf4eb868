"""The command that follows another in the life of a study, with the names to give it."""

import shlex
from typing import TYPE_CHECKING

import click

from blade_tune.redact import redacted

if TYPE_CHECKING:
    from pathlib import Path

    from blade_tune.fleet.settings import RunSettings
    from blade_tune.study.stored import StoredStudy


def say_next(command: str, settings: "RunSettings", *, quiet: bool = False) -> None:
    """Print the next command on stderr, with the flags of places that are not the default ones.

    Args:
        command: the words after `blade-tune`.
        settings: where studies and results are.
        quiet: whether to print nothing.
    """
    if quiet or not command:
        return
    from blade_tune.fleet.settings import RunSettings

    words = f"blade-tune {command}"
    if settings.storage:
        words += f" --storage {shlex.quote(settings.storage)}"
    if settings.results != RunSettings().results:
        words += f" --results {shlex.quote(str(settings.results))}"
    click.echo(redacted(f"Next: {words}"), err=True)


def after_run(stored: "StoredStudy") -> str:
    """Return the command that follows a run: confirm, export, or report; empty where the run itself goes on."""
    from blade_tune.selection.confirm import load_confirmation
    from blade_tune.storage.trials import best_trial
    from blade_tune.study.progress import why_done

    study = f"--study {shlex.quote(stored.definition.name)}"
    if not why_done(stored) or best_trial(stored.trials) is None:
        return ""
    if load_confirmation(stored) is None:
        return f"confirm {study} --top 3 --seeds 3"
    if not stored.folder.best.is_dir():
        return f"export-best {study}"
    return f"report {study}"


def after_export(bundle: "Path") -> str:
    """Return the command that follows an export."""
    return f"recommend --bundle {shlex.quote(str(bundle))} --users FILE"
