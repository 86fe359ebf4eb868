"""Flags of a `data prepare` command as they were typed, so that they can be compared with and named again."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from blade_tune.errors import ConfigError

# Flags that say where things are and how to show them, and nothing of how a log is read and split
PLACES = (
    "--source",
    "--out",
    "--append",
    "--force",
    "--storage",
    "--results",
    "--format",
    "--quiet",
)
NAMES = ("--name", "--license")


def given_command() -> dict[str, Any]:
    """Return the current command's `name`, and its `flags` that were typed, without PLACES, each with its values."""
    context = click.get_current_context()
    flags: dict[str, list[str]] = {}
    for option in context.command.params:
        name = option.name or ""
        is_typed = context.get_parameter_source(name) == ParameterSource.COMMANDLINE
        if not isinstance(option, click.Option) or option.opts[0] in PLACES or not is_typed:
            continue
        value = context.params[name]
        values = value if isinstance(value, tuple | list) else (value,)
        flags[option.opts[0]] = [] if option.is_flag else list(map(str, values))
    return {"name": context.command.name, "flags": flags}


def require_none_beside(mapping: Path, allowed: Collection[str]) -> None:
    """Refuse flags that say what a mapping file says; the others count more than it.

    Args:
        mapping: the mapping file.
        allowed: the flags that may stand beside it.

    Raises:
        ConfigError: another flag was given.
    """
    for flag in given_command()["flags"]:
        if flag not in allowed:
            raise ConfigError(
                f"{flag} must stand in {mapping}, which says what the columns mean, and not beside it; "
                f"beside it may stand {', '.join(allowed)}."
            )


def require_as_before(before: Mapping[str, Any], folder: object) -> None:
    """Refuse flags by which newer rows would be read or split in another way than the log.

    Args:
        before: the command that prepared the log, from `given_command`.
        folder: where it did so, for the message.

    Raises:
        ConfigError: a flag was not given for the log, or with another value.
    """
    then = before.get("flags", {})
    for flag, values in given_command()["flags"].items():
        if flag not in NAMES and then.get(flag) != values:
            shown = " ".join(then[flag]) if flag in then else "left out"
            raise ConfigError(
                f"{flag} must be as {folder} was prepared ({shown}), got {' '.join(values) or flag}; leave it out, for "
                "--append reads newer rows as the log. To read the log otherwise, prepare the whole with another --out."
            )
