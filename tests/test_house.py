"""The house's own rules: which way imports run, how long things get, how they are called, what is checked in."""

import ast
import re
import runpy
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import click
import pytest

from blade_tune.augment import AUGMENTATIONS
from blade_tune.cli.program import blade_tune
from blade_tune.data.sources import SOURCES
from blade_tune.data.sources.base import Source
from blade_tune.models import MODELS
from blade_tune.models.base import RecommenderModel
from blade_tune.registry import load

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "blade_tune"
LIBRARY = sorted(PACKAGE.rglob("*.py"))
SOURCE_FILES = [*LIBRARY, *sorted((ROOT / "tests").rglob("*.py"))]

RANKS = [  # each part imports from parts below its own line only
    {"__main__", "__init__"},  # what is run, and what is imported
    {"cli", "notebook"},
    {"serving"},
    {"auto"},
    {"export", "report"},
    {"selection"},
    {"doctor"},
    {"fleet"},
    {"study"},
    {"trial"},
    {"search"},
    {"storage"},
    {"spec"},
    {"xray"},
    {"training"},
    {"models"},
    {"layers", "augment", "losses", "data"},
    {"kernels", "batch", "catalog", "metrics", "space"},
    {"parameter"},
    {"registry", "choices"},
    {"config", "files"},
    {"redact"},
    {"errors", "printable"},
    {"about"},  # the version, and where the package is
]
RANK = {part: rank for rank, parts in enumerate(reversed(RANKS)) for part in parts}
FORBIDDEN = {  # beyond the order above
    "models": {"optuna", "click", "blade_tune.data"},
    "data": {"optuna", "click"},
    "training": {"optuna", "click"},
    "xray": {"optuna", "click"},
    "spec": {"optuna", "sqlalchemy", "torch", "click"},
    "storage": {"torch", "click"},
    "search": {"click"},
    "trial": {"click"},
    "study": {"click"},
    "doctor": {"click"},
    "fleet": {"click"},
    "report": {"click"},
    "export": {"click"},
    "selection": {"click"},
    "serving": {"click", "optuna"},
    "notebook": {"click"},
}
PURE = ("models", "layers", "kernels", "augment", "losses", "metrics", "batch")  # of disk and clock
IMPURE = {"datetime", "io", "os", "pathlib", "shutil", "sqlite3", "subprocess", "tempfile", "time"}
IMPURE_CALLS = {
    "open",
    "torch.load",
    "torch.save",
    "np.load",
    "np.save",
    "np.fromfile",
    "np.memmap",
}

MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS, MAX_BYTES = 400, 60, 6, 2**20


def part_of(path: Path) -> str:
    """The part of the package that a file belongs to: a folder, or a module at the top."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports anywhere, in functions and for type checkers too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_parts(path: Path) -> set[str]:
    """The parts of the package that a file imports from."""
    names = [name.split(".") for name in imports(path) if name.split(".")[0] == "blade_tune"]
    return {name[1] if len(name) > 1 and name[1] in RANK else "__init__" for name in names}


def in_module(name: str, modules: set[str]) -> bool:
    return any(name == module or name.startswith(module + ".") for module in modules)


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            yield node


def is_command(function: ast.FunctionDef) -> bool:
    """Whether click calls it with an argument an option."""
    return any(".command(" in ast.unparse(decorator) for decorator in function.decorator_list)


def tracked() -> list[Path]:
    """The files under version control."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


# Imports


def test_every_part_has_a_rank():
    """A new folder or module finds its place in the order."""
    assert {part_of(path) for path in LIBRARY} == set(RANK)


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path):
    """A part imports from itself and from lower ranks only."""
    own = part_of(path)
    assert {
        part for part in imported_parts(path) if part != own and RANK[part] >= RANK[own]
    } == set()


@pytest.mark.parametrize("part", FORBIDDEN)
def test_parts_stay_apart_from_what_is_not_theirs(part):
    """Models know neither Optuna nor click nor data; only the command line knows click, only study and above Optuna."""
    found = [(path, name) for path in LIBRARY if part_of(path) == part for name in imports(path)]
    assert [(str(path), name) for path, name in found if in_module(name, FORBIDDEN[part])] == []


@pytest.mark.parametrize("part", PURE)
def test_models_and_what_they_are_built_of_touch_neither_disk_nor_clock(part):
    """They import nothing that reads a file or the time, and call nothing that does."""
    for path in LIBRARY:
        if part_of(path) == part:
            assert [name for name in imports(path) if in_module(name, IMPURE)] == []
            calls = (
                node.func
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Call)
            )
            assert {ast.unparse(function) for function in calls} & IMPURE_CALLS == set()


# Sizes and names


@pytest.mark.parametrize("path", SOURCE_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_short(path):
    """A file, a test's too, has at most 400 lines."""
    assert len(path.read_text().splitlines()) <= MAX_FILE_LINES


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_stay_short(path):
    """A function has at most 60 lines and 6 parameters besides self; a command has as many as it has options."""
    for function in functions(path):
        if is_command(function):
            continue
        assert function.end_lineno is not None
        assert function.end_lineno - function.lineno + 1 <= MAX_FUNCTION_LINES, function.name
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        assert len([a for a in arguments if a.arg not in ("self", "cls")]) <= MAX_PARAMETERS, (
            function.name
        )


def test_names_say_what_they_hold():
    """Nothing is called utils, helpers or common."""
    vague = re.compile(r"utils?|helpers?|common|misc")
    parts = [
        (path, part)
        for path in SOURCE_FILES
        for part in path.relative_to(ROOT).with_suffix("").parts
    ]
    assert [str(path) for path, part in parts if vague.fullmatch(part)] == []


def test_commands_are_a_file_each():
    """Every command and group of the program lives in the file of its name."""
    for name, command in blade_tune.commands.items():
        callback = command.callback
        assert isinstance(command, click.Command)
        assert callback is not None
        assert callback.__module__ == f"blade_tune.cli.{name.replace('-', '_')}"


# Registries


@pytest.mark.parametrize(
    "registry", [MODELS, AUGMENTATIONS, SOURCES], ids=["models", "augmentations", "sources"]
)
def test_registries_hold_places_that_exist(registry):
    """Every entry is "module:object" and resolves."""
    for name, place in registry.items():
        assert re.fullmatch(r"blade_tune(\.\w+)+:\w+", place)
        assert callable(load(registry, "entry", name))


def test_registries_hold_what_they_promise():
    """Models are Recommenders, sources are Sources."""
    assert all(issubclass(load(MODELS, "model", name), RecommenderModel) for name in MODELS)
    assert all(issubclass(load(SOURCES, "source", name), Source) for name in SOURCES)


# Style and types, as CONTRIBUTING asks for them


@pytest.mark.parametrize("words", ["ruff check", "ruff format --check"])
def test_style(words):
    """ruff has nothing to say: docstrings, names, no print, no dead code, one format."""
    ended = subprocess.run(
        [sys.executable, "-m", *words.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.slow
def test_types():
    """mypy, strict, finds no error in the library."""
    ended = subprocess.run(
        [sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_one_name_is_one_class():
    """No two modules define a public class, or an alias of a type, of one name."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path in LIBRARY:
        for node in ast.parse(path.read_text()).body:
            names = [node.name] if isinstance(node, ast.ClassDef) else []
            if isinstance(node, ast.Assign):
                names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            for name in names:
                if len(name) > 1 and re.fullmatch("[A-Z][A-Za-z]*[a-z][A-Za-z]*", name):
                    places[name].append(str(path.relative_to(PACKAGE)))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_module_is_in_a_circle_of_imports():
    """Each module can be read after those that it imports, in functions and for type checkers too."""
    names = {
        path: ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in LIBRARY
    }
    known = set(names.values())
    needs = {
        name: {module for found in imports(path) for module in (found, found.rpartition(".")[0])}
        & known - {name}
        for path, name in names.items()
    }
    list(TopologicalSorter(needs).static_order())  # raises CycleError with the modules of one


# What is checked in


def test_no_large_or_trained_file_is_tracked():
    """Nothing above 1 MiB, no checkpoint, no weights, no database is under version control."""
    files = tracked()
    assert [str(path) for path in files if path.stat().st_size > MAX_BYTES] == []
    assert [
        str(path) for path in files if path.suffix in (".pt", ".db", ".safetensors", ".pkl")
    ] == []


def test_the_list_of_modules_is_up_to_date():
    """docs/architecture.md has a line for each module, its docstring's first; `python docs/tree.py` writes it anew."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    assert runpy.run_path(str(ROOT / "docs" / "tree.py"))["written"]() == page
