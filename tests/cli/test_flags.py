"""The options of all commands: each is read, each list of choices is declared where it acts, help has an order."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import pytest
from click.testing import CliRunner

import blade_tune.cli
from blade_tune.choices import NextItemLoss, Normalization
from blade_tune.cli.options import METAVARS, PRICE_FLAGS, WORK_FLAGS
from blade_tune.cli.program import blade_tune as program
from blade_tune.export import JudgedOn, Rule
from blade_tune.fleet.launchers import LAUNCHERS
from blade_tune.fleet.settings import RunSettings
from blade_tune.spec.recipes import RecipeName
from blade_tune.spec.study_file import PrunerName, SamplerName, SearchConfig

CHOICES = {  # the option of a command -> what is chosen from
    "run --sampler": get_args(SamplerName),
    "run --pruner": get_args(PrunerName),
    "run --recipe": get_args(RecipeName),
    "run --launcher": tuple(LAUNCHERS),
    "compare --recipe": get_args(RecipeName),
    "compare --loss": get_args(NextItemLoss),
    "space show --recipe": get_args(RecipeName),
    "space check --recipe": get_args(RecipeName),
    "export-best --rule": get_args(Rule),
    "retrain --judge-on": get_args(JudgedOn),
    "ensemble --normalization": get_args(Normalization),
}


def commands(group: click.Group, *words: str) -> Iterator[tuple[str, click.Command]]:
    """Every command below, by the words that call it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *words, name)
        else:
            yield " ".join((*words, name)), command


COMMANDS = dict(commands(program))


def function_of(command: click.Command) -> ast.FunctionDef:
    """What a command runs, as it is written."""
    [function] = ast.parse(
        textwrap.dedent(inspect.getsource(inspect.unwrap(command.callback)))
    ).body
    assert isinstance(function, ast.FunctionDef)
    return function


def arguments(function: ast.FunctionDef) -> list[str]:
    """The names of all parameters, that of **more among them."""
    given = function.args
    rest = [given.kwarg] if given.kwarg else []
    return [
        argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs, *rest)
    ]


def names_read(function: ast.FunctionDef) -> set[str]:
    return {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def fields_read(function: ast.FunctionDef) -> set[str] | None:
    """The run settings that a function asks for; None where it hands them on as a whole."""
    whole, fields = 0, set()
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id == "settings" and isinstance(node.ctx, ast.Load):
            whole += 1
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "settings"
        ):
            whole -= 1
            fields.add(node.attr)
    return None if whole else fields


@pytest.mark.parametrize("words", COMMANDS)
def test_every_option_is_read(words: str):
    """A command reads each of its parameters; click fills none that a flag or a run setting does not."""
    command = COMMANDS[words]
    function = function_of(command)
    body = ast.Module(function.body, [])
    assert set(arguments(function)) - names_read(body) == set()
    taken, options = set(arguments(function)), {parameter.name for parameter in command.params}
    if not function.args.kwarg:
        assert options - taken <= set(METAVARS)
        assert taken - options <= {"settings"}


@pytest.mark.parametrize("words", COMMANDS)
def test_every_run_setting_that_has_a_flag_is_read(words: str):
    """A command that settles run settings asks for each that it has a flag of, or hands all of them on."""
    function = function_of(COMMANDS[words])
    if "settings" not in arguments(function):
        return
    options = {parameter.name: parameter.metavar for parameter in COMMANDS[words].params}
    flags = {name for name, metavar in METAVARS.items() if options.get(name) == metavar}
    flags -= set(arguments(function))
    if (read := fields_read(function)) is not None:
        place = {"storage", "results"} if "workspace" in read else set()
        assert flags - read - place == set()


def test_an_unread_parameter_is_found():
    """The test above sees a parameter that a command drops, also where another statement stores to its name."""
    (function,) = ast.parse(
        "def show(study, data, form):\n    data = 1\n    print(study, form)"
    ).body
    assert set(arguments(function)) - names_read(ast.Module(function.body, [])) == {"data"}
    (function,) = ast.parse(
        "def show(settings):\n    print(settings.device, settings.workspace)"
    ).body
    assert fields_read(function) == {"device", "workspace"}
    (function,) = ast.parse("def show(settings):\n    train(settings.device, settings)").body
    assert fields_read(function) is None


def test_no_unused_argument_is_excused():
    """No file of the command line has a `noqa` for an argument that a function drops."""
    files = Path(blade_tune.cli.__file__).parent.glob("*.py")
    assert [path.name for path in files if "ARG001" in path.read_text()] == []


@pytest.mark.parametrize("place", CHOICES)
def test_choices_are_those_of_their_kind(place: str):
    """An option offers every value that there is, in the order in which they are declared."""
    words, _, flag = place.rpartition(" ")
    [option] = [each for each in COMMANDS[words].params if flag in each.opts]
    assert tuple(option.type.choices) == tuple(CHOICES[place])


def test_every_list_of_choices_is_known():
    """Options with a list of choices are those above, and --format."""
    found = {
        f"{words} {parameter.opts[0]}"
        for words, command in COMMANDS.items()
        for parameter in command.params
        if isinstance(parameter, click.Option) and isinstance(parameter.type, click.Choice)
    }
    assert {place for place in found if not place.endswith(" --format")} == set(CHOICES)


def test_help_lists_commands_as_they_are_used():
    """`--help` has every command once, in the order in which the program adds them, and so have the groups."""
    shown = CliRunner().invoke(program, ["--help"]).output.partition("-h, --help")[2].splitlines()
    listed = [
        line.split()[0]
        for line in shown
        if line.startswith("  ") and line.split()[0] in program.commands
    ]
    assert listed == list(program.commands)
    assert listed[:8] == ["data", "models", "space", "study", "auto", "run", "worker", "stop"]
    assert sorted(listed) != listed
    data = program.commands["data"]
    assert isinstance(data, click.Group)
    assert data.list_commands(click.Context(data)) == [
        "list",
        "get",
        "look",
        "prepare",
        "synth",
        "stats",
        "xray",
    ]


def test_every_run_setting_has_a_flag():
    """`run` has a flag of each run setting; no other command has one for its number of trials."""
    assert set(METAVARS) == set(RunSettings.model_fields)
    flags = {parameter.name for parameter in COMMANDS["run"].params}
    assert flags >= set(METAVARS) - set(PRICE_FLAGS)
    assert set(METAVARS) - set(WORK_FLAGS) == {"trials", *PRICE_FLAGS}


@pytest.mark.parametrize("words", ["status", "show 0", "trials"])
def test_commands_that_read_no_data_have_no_flag_for_it(words: str):
    """--data is a usage error where nothing would look there."""
    ended = CliRunner().invoke(program, [*words.split(), "--study", "demo", "--data", "data"])
    assert (ended.exit_code, "No such option" in ended.output) == (2, True)


@pytest.mark.parametrize("count", [0, -1, "many"])
def test_the_number_of_trials_has_one_law(count: int | str):
    """A study file and the run settings refuse the same numbers of trials, in the same words."""
    errors = []
    for settings in (SearchConfig, RunSettings):
        with pytest.raises(ValueError, match="trials") as raised:
            settings(trials=count)
        errors.append(raised.value.errors()[0]["msg"])
    assert errors[0] == errors[1]
