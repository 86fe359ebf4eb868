"""Commands `blade-tune data prepare NAME` of the known public logs."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from blade_tune.cli.given import given_command
from blade_tune.cli.options import format_option, quiet_option
from blade_tune.cli.preparing import (
    out_option,
    recipe_of,
    recipe_options,
    replace_options,
    replacement_of,
    run,
    run_and_write_study,
    source_option,
)
from blade_tune.data.raw.datasets import KNOWN_LOGS, KnownLog


class WithKnownLogs(Mapping[str, click.Command]):
    """The commands of a group, and after them one for each known log, whose table is read when it is looked up."""

    def __init__(self, others: Mapping[str, click.Command]) -> None:
        self._others = others

    def __getitem__(self, name: str) -> click.Command:
        return self._others[name] if name in self._others else _command(name, KNOWN_LOGS[name])

    def __iter__(self) -> Iterator[str]:
        yield from self._others
        yield from KNOWN_LOGS

    def __len__(self) -> int:
        return len(self._others) + len(KNOWN_LOGS)


def _command(log: str, known: KnownLog) -> click.Command:
    """Return the command that prepares the log of a known data set."""

    def command(
        source: Path, name: str | None, out: Path | None, form: str, quiet: bool, **more: Any
    ) -> None:
        from blade_tune.cli.replacement import data_section
        from blade_tune.data.config import data_config
        from blade_tune.data.raw.known_files import parts_of
        from blade_tune.data.raw.prepare import Preparation
        from blade_tune.spec.catalog import is_shipped

        name = name or log
        section = data_section(name, list(known.behaviors), known.auxiliary)
        data_config(section, "options")
        out = out or Path("data") / name
        replacement = replacement_of(out, more)
        preparation = Preparation(
            name=name,
            parts=parts_of(known, source, more.pop("version", None)),
            auxiliary=known.auxiliary,
            recipe=recipe_of(more),
            license=known.license,
            command=given_command(),
        )
        if is_shipped("studies", name):
            run(preparation, replacement, form, f"--study {name} --data {out}", quiet=quiet)
        else:
            run_and_write_study(preparation, replacement, section, form, quiet=quiet)

    command.__doc__ = _help(log, known)
    options = [
        source_option(required=True),
        _name_option(log),
        out_option,
        replace_options,
        recipe_options,
    ]
    if known.versions:
        options.insert(1, _version_option(known))
    for option in reversed([*options, format_option, quiet_option]):
        command = option(command)
    return click.command(log)(command)


def _help(log: str, known: KnownLog) -> str:
    files = "\n".join(
        f"      {f'{version}: ' if version else ''}{', '.join(names)}"
        for version, names in known.by_version.items()
    )
    behaviors = f"Behavior: {known.behaviors[0]}."
    if len(known.behaviors) > 1:
        targets = f"{known.auxiliary} is auxiliary" if known.auxiliary else "all are targets"
        behaviors = f"Behaviors: {', '.join(known.behaviors)}; {targets}."
    return f"""Prepare {known.title}.

    --source is the owner's archive, a folder, or a pattern in quotes; or a single file, compressed or not. It is left
    alone.

    \b
    Files:
{files}

    {behaviors} {known.note}

    License: {known.license}. See {known.page}

    \b
    Example:
      blade-tune data prepare {log} --source {known.example}
    """


def _name_option(log: str) -> Any:
    words = f"Name of the data set and of its study. Default: {log}."
    return click.option("--name", metavar="NAME", help=words)


def _version_option(known: KnownLog) -> Any:
    listed = ", ".join(known.versions)
    words = f"{listed}. Default: the one whose files are called as those of the source."
    return click.option("--version", metavar="VERSION", help=words)
