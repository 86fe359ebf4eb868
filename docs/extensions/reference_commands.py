"""Reference of commands: what `--help` prints of each, with its options as lists and its examples as code."""

import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from markup import code, escaped, link, table

from blade_tune import errors
from blade_tune.cli.program import blade_tune

PROGRAM = "blade-tune"
KEPT = "\b\n"  # click's mark of a paragraph whose lines are kept
WIDE = 10_000  # columns, so that click cuts nothing


class Recorder(click.HelpFormatter):
    """A formatter that keeps the sections of a help text and their rows in place of writing them."""

    def __init__(self) -> None:
        super().__init__(width=WIDE)
        self.sections: list[tuple[str, list[tuple[str, str]]]] = []

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Begin a section."""
        self.sections.append((name, []))
        yield

    def write_dl(self, rows: Any, *_: Any, **__: Any) -> None:
        """Keep the rows of the section that was begun last."""
        self.sections[-1][1].extend(rows)


def commands() -> str:
    """Return all commands in the sections of the program's help text, groups with the commands below them."""
    context = _context(blade_tune, PROGRAM)
    parts = list(_described(blade_tune, context))
    for title, names in blade_tune.sections.items():
        rows = [(link(name), _short(name)) for name in names]
        parts += [f"## {title}\n", table(("command", ""), rows)]
        for name in names:
            parts += _pages(blade_tune.commands[name], context, name, level=3)
    return "\n".join(parts)


def exit_codes() -> str:
    """Return a table of exit codes, from the classes of errors."""
    meanings: dict[int, list[str]] = {0: ["What was asked for was done."]}
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, errors.BladeTuneError):
            is_own = "exit_code" in vars(error) or "exit_code" not in vars(error.__mro__[1])
            first = (error.__doc__ or "").partition("\n")[0]
            if is_own and error is not errors.BladeTuneError:
                meanings.setdefault(error.exit_code, []).append(escaped(first))
    rows = [(code(number), " ".join(texts)) for number, texts in sorted(meanings.items())]
    return table(("code", "why"), rows)


def _pages(command: click.Command, parent: click.Context, name: str, level: int) -> Iterator[str]:
    """Yield the text of a command, then that of each command below it."""
    context = _context(command, name, parent)
    words = context.command_path.removeprefix(f"{PROGRAM} ")
    yield f"{'#' * level} {words}\n"
    yield from _described(command, context)
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found is not None  # noqa: S101 - it was listed
            yield from _pages(found, context, inner, level + 1)


def _described(command: click.Command, context: click.Context) -> Iterator[str]:
    """Yield what a help text has: what the command does, its usage, its example, its options."""
    usage = " ".join((context.command_path, *command.collect_usage_pieces(context)))
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    for paragraph in paragraphs:
        if not paragraph.startswith(KEPT):
            yield f"{escaped(' '.join(paragraph.split()))}\n"
    yield f"```text\n{usage}\n```\n"
    for paragraph in paragraphs:
        if paragraph.startswith(KEPT):
            head, _, rest = paragraph.removeprefix(KEPT).partition("\n")
            yield f"{escaped(head)}\n\n```sh\n{textwrap.dedent(rest)}\n```\n"
    recorder = Recorder()
    command.format_options(context, recorder)
    for title, rows in recorder.sections:
        if not isinstance(command, click.Group) or any(name.startswith("-") for name, _ in rows):
            yield f"**{escaped(title)}**\n"
            yield from (f"{code(name)}\n: {escaped(text) or '.'}\n" for name, text in rows)


def _context(
    command: click.Command, name: str, parent: click.Context | None = None
) -> click.Context:
    return click.Context(command, parent=parent, info_name=name, **command.context_settings)


def _short(name: str) -> str:
    return escaped(
        click.Command(name, help=blade_tune.commands.description(name)).get_short_help_str(WIDE)
    )
