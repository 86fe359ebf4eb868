"""Help texts: what a command does, what it leaves alone, and an example that works."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points

import click
import pytest
from click.testing import CliRunner

from blade_tune import __version__
from blade_tune.cli.program import blade_tune

HEAVY = (
    "duckdb",
    "jinja2",
    "numpy",
    "optuna",
    "optuna_dashboard",
    "pandas",
    "plotly",
    "pooch",
    "requests",
    "scipy",
    "sqlalchemy",
    "statsmodels",
    "torch",
)


def commands(group: click.Group, *words: str) -> Iterator[tuple[str, ...]]:
    """The words of every command and group below, itself first."""
    yield words
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *words, name)
        else:
            yield *words, name


COMMANDS = [
    pytest.param(words, id=" ".join(words) or "blade-tune") for words in commands(blade_tune)
]


def find(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the words call, and the words that are left for it."""
    command: click.Command = blade_tune
    while isinstance(command, click.Group):
        command, words = command.commands[words[0]], words[1:]
    return command, words


def help_of(words: tuple[str, ...]) -> str:
    shown = CliRunner().invoke(blade_tune, [*words, "--help"], terminal_width=80)
    assert shown.exit_code == 0
    return shown.output


def paragraphs(words: tuple[str, ...]) -> list[str]:
    """The parts of a help text between usage and the first heading, each as it is wrapped."""
    text = re.split(r"\n(?=\S)", help_of(words).partition("\n\n")[2])[0]
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]


@pytest.mark.parametrize("words", COMMANDS)
def test_help_begins_with_one_sentence(words):
    """The first paragraph of a help text is one sentence."""
    assert re.fullmatch(r"[A-Z][^.]*\.", paragraphs(words)[0])


@pytest.mark.parametrize("words", COMMANDS)
def test_help_says_what_is_left_alone(words):
    """A help text says what the command does not touch."""
    assert re.search(
        r"\b(nothing|never|sealed|left alone)\b", " ".join(paragraphs(words)[1:-1]).lower()
    )


@pytest.mark.parametrize("words", COMMANDS)
def test_help_ends_in_an_example_that_parses(words):
    """The last paragraph is an example of the command itself, and click takes every word of it."""
    last = paragraphs(words)[-1]
    assert last.startswith("Example: blade-tune ")
    called = shlex.split(last.removeprefix("Example: blade-tune "))
    called = called[: called.index(">")] if ">" in called else called
    assert tuple(called[: len(words)]) == words
    command, rest = find(called)
    # Below the program, as click gives a command the flags of --help for good at its first call
    parent = click.Context(blade_tune, **blade_tune.context_settings)
    command.make_context(command.name, rest, parent=parent)


@pytest.mark.parametrize("words", COMMANDS)
def test_the_list_of_commands_cuts_no_sentence(words):
    """On a terminal of 80 columns a group lists its commands with their whole first sentences."""
    assert "..." not in help_of(words).partition("Show this message and exit.")[2]


def test_help_loads_nothing_heavy():
    """No help text imports torch, optuna, pandas, sqlalchemy or their kind."""
    calls = [[*param.values[0], "--help"] for param in COMMANDS]
    script = f"""
import sys
from blade_tune.cli.program import blade_tune
for words in {calls}:
    blade_tune(words, standalone_mode=False)
print("loaded:", *sorted(set({HEAVY}) & set(sys.modules)))
"""
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert shown.stdout.count("Usage: ") == len(calls)
    assert shown.stdout.endswith("loaded:\n")


def test_the_module_is_the_program():
    """`python -m blade_tune --version` names program and version."""
    shown = subprocess.run(
        [sys.executable, "-m", "blade_tune", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert shown.stdout == f"blade-tune, version {__version__}\n"


def test_the_installed_program_is_main():
    """The program that pip installs calls `main`."""
    (program,) = entry_points(group="console_scripts", name="blade-tune")
    assert program.value == "blade_tune.cli.main:main"


def test_a_misspelled_command_gets_a_guess():
    """An unknown command is a usage error with the nearest known one."""
    shown = CliRunner().invoke(blade_tune, ["statsu"])
    assert (shown.exit_code, "status" in shown.output) == (2, True)
