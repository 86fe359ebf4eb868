"""Command groups that list commands in the order of their use, and import a command only when it is called."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
from click.shell_completion import CompletionItem

# Headings of options in the help of a command that has many, and the options below each
OWN_OPTIONS = "Options"
STUDIED = "What is studied"
LOG = "A log that is prepared first"
OPTION_GROUPS: Mapping[str, Sequence[str]] = {
    LOG: (
        *("source", "user", "item", "type", "session", "header", "encoding", "date_order", "seen"),
        *("behaviors", "thresholds", "rating", "like_from", "auxiliary", "keep_repeats", "name"),
    ),
    "How far it goes": (
        *("trials", "add", "epochs", "budget", "asked", "duration", "top", "seeds", "draws"),
        *("time", "trial_time", "gpu_hours", "max_consecutive_failures"),
    ),
    "Workers and devices": (
        *("workers", "threads", "device", "gpus", "per_gpu", "launcher", "launcher_options"),
        *("heartbeat_s", "grace_s"),
    ),
    "Data and results": ("data", "results", "storage", "keep", "out"),
    "Output": ("form", "quiet", "dry_run", "help"),
}


class InOrder(click.Group):
    """A group that lists its commands in the order in which they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the commands in the order of the help text."""
        return list(self.commands)


class OfLogs(InOrder):
    """A group whose commands are named after logs; the error of an unknown one lists similar names first."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command of the first word.

        Raises:
            UsageError: there is no such log.
        """
        from blade_tune.config import known_names

        name = args[0]
        if not ctx.resilient_parsing and not name.startswith("-") and name not in self.commands:
            ctx.fail(f"{name!r} is no known log. {known_names(name, self.commands)}")
        return super().resolve_command(ctx, args)


class CommandModules(Mapping[str, click.Command]):
    """The commands of a package by name, each imported from the module of its name when it is looked up.

    Args:
        package: the package that has a module for each command.
        names: the commands, in order.
    """

    def __init__(self, package: str, names: Sequence[str]) -> None:
        self._package = package
        self._names = names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._names:
            raise KeyError(name)
        function = name.replace("-", "_")
        command: click.Command = getattr(import_module(f"{self._package}.{function}"), function)
        return command

    def __contains__(self, name: object) -> bool:
        return name in self._names  # without an import

    def description(self, name: str) -> str:
        """Return the docstring of a command, read from its module's source, which takes no import."""
        function = name.replace("-", "_")
        folder = Path(import_module(self._package).__path__[0])
        module = ast.parse((folder / f"{function}.py").read_text(encoding="utf-8"))
        for node in module.body:
            if isinstance(node, ast.FunctionDef) and node.name == function:
                return ast.get_docstring(node) or ""
        return ""


class InGroups(click.Command):
    """A command that lists its options under headings, each in the group that OPTION_GROUPS has it in.

    Args:
        own: the heading of options that are in no group.
        moved: option -> heading of the options whose name means something else in this command.
        arguments: of `click.Command`.
    """

    def __init__(
        self,
        *arguments: Any,
        own: str = OWN_OPTIONS,
        moved: Mapping[str, str] = MappingProxyType({}),
        **named: Any,
    ) -> None:
        super().__init__(*arguments, **named)
        self.own = own
        self.moved = moved

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each group that the command has options of, and one for its own at the top."""
        records: dict[str, list[tuple[str, str]]] = {self.own: []}
        for group in OPTION_GROUPS:
            records[group] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                records[self._group_of(parameter)].append(record)
        for title, rows in records.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def _group_of(self, option: click.Parameter) -> str:
        """Return the heading under which an option is listed."""
        # click's own --help has a private name
        name = "help" if "--help" in option.opts else option.name or ""
        if name in self.moved:
            return self.moved[name]
        for title, names in OPTION_GROUPS.items():
            if name in names:
                return title
        return self.own


class InSections(InOrder):
    """A group that lists its commands under headings; each command is a module of a package."""

    sections: Mapping[str, Sequence[str]] = {}
    commands: CommandModules  # type: ignore[assignment]  # nothing is added later

    def add_sections(self, package: str, sections: Mapping[str, Sequence[str]]) -> None:
        """Add the commands of a package, in order, by the heading under which the help text lists them."""
        names = [name for section in sections.values() for name in section]
        self.commands = CommandModules(package, names)
        self.sections = sections

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the names of commands and flags that begin as what was typed, without importing any command."""
        items = []
        for name in self.commands:
            if name.startswith(incomplete):
                described = click.Command(name, help=self.commands.description(name))
                items.append(CompletionItem(name, help=described.get_short_help_str()))
        return items + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write a section for each heading, all with columns of the same width."""
        width = max(map(len, self.commands))
        for title, names in self.sections.items():
            with formatter.section(title):
                limit = formatter.width - width - 6
                rows = []
                for name in names:
                    command = click.Command(name, help=self.commands.description(name))
                    rows.append((name.ljust(width), command.get_short_help_str(limit)))
                formatter.write_dl(rows)
