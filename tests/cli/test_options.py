"""Flags of run settings: declared by the setting, one of several places that may say it; and the dry run."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML
from sqlalchemy.exc import OperationalError

from blade_tune.cli.dry_run import Asked, print_plan
from blade_tune.cli.options import METAVARS, run_flags, run_settings, study_option
from blade_tune.cli.program import blade_tune
from blade_tune.config import write_yaml
from blade_tune.errors import ConfigError, StorageError
from blade_tune.fleet.precedence import resolve
from blade_tune.fleet.settings import RunSettings
from blade_tune.spec.catalog import StudySource
from blade_tune.spec.definition import StudyDefinition
from blade_tune.study.create import TrialBudget
from tests.cli.program import TINY

Call = Callable[..., Any]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, and nobody's own settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nothing"))


@pytest.fixture
def results_of() -> Call:
    """Runs a command that asks for `results` and `study`; gives what it got."""
    got: list[Path] = []

    @click.command()
    @run_settings("results")
    @study_option
    def command(settings: RunSettings, **_: str) -> None:
        got.append(settings.results)

    def call(*words: str) -> Path:
        ended = CliRunner().invoke(command, ["-s", "mine", *words])
        if ended.exception:
            raise ended.exception
        return got[-1]

    return call


def test_a_command_gets_a_setting_from_wherever_it_is_said(results_of, monkeypatch):
    """Project file < environment < study file < flag, for a command that asks for one setting as for `run`."""
    assert results_of() == Path("results")
    Path("blade-tune.yaml").write_text("results: project\n")
    assert results_of() == Path("project")
    monkeypatch.setenv("BLADE_TUNE_RESULTS", "variable")
    assert results_of() == Path("variable")
    Path("studies").mkdir()
    Path("studies/mine.yaml").write_text("run: {results: study}\n")
    assert results_of() == Path("study")
    assert results_of("--results", "flag") == Path("flag")


def test_a_broken_file_is_told_by_every_command(results_of):
    """A law that a file breaks ends any command that reads settings, with the file's name."""
    Path("blade-tune.yaml").write_text("keep: 0\n")
    with pytest.raises(
        ConfigError, match=r"^blade-tune\.yaml: keep must be greater than or equal to 1, got 0\.$"
    ):
        results_of("--results", "flag")


@pytest.mark.parametrize("name", RunSettings.model_fields)
def test_a_flag_is_declared_by_its_setting(name):
    """Its name and the words of its help are the setting's; what is typed reaches the command as it is."""
    got = {}
    command = click.command()(run_flags(name)(lambda **given: got.update(given)))
    flag = "--" + name.replace("_", "-")
    CliRunner().invoke(command, [flag, "typed"])
    assert got == {name: "typed"}
    CliRunner().invoke(command, [])
    assert got == {name: None}
    shown = " ".join(CliRunner().invoke(command, ["--help"], terminal_width=300).output.split())
    assert (
        re.search(rf"{flag} {METAVARS[name]} (.*?)\. ", shown)[1]
        .lower()
        .startswith(RunSettings.model_fields[name].description.lower())
    )


def test_a_dry_run_makes_nothing(capsys):
    """It leaves the folder as it was, and has a line for each kind of value."""
    Path("studies").mkdir()
    Path("studies/tiny.yaml").write_text(write_yaml(TINY))
    before = sorted(Path().rglob("*"))
    source = StudySource.read("tiny")
    print_plan(
        source,
        StudyDefinition.load(source),
        resolve({"device": "cpu"}, source),
        Asked(TrialBudget()),
        {},
        "table",
    )
    assert sorted(Path().rglob("*")) == before
    printed = capsys.readouterr().out
    for words in ("heartbeat_s", "worker 0", "model.num_heads", "space points", "not yet"):
        assert words in printed


@pytest.mark.parametrize("given", ["tiny", "studies/tiny.yaml"])
def test_a_run_reads_its_study_file_once(monkeypatch, given: str):
    """Settings, definition and the origins of a dry run are all taken from one reading."""
    Path("studies").mkdir()
    Path("studies/tiny.yaml").write_text(write_yaml(TINY))
    read: list[Path] = []
    load = YAML.load
    monkeypatch.setattr(YAML, "load", lambda self, text: read.append(text) or load(self, text))
    ended = CliRunner().invoke(
        blade_tune, ["run", "--study", given, "--device", "cpu", "--dry-run"]
    )
    assert (ended.exit_code, ended.exception) == (0, None)
    assert read.count(Path("studies/tiny.yaml").read_text()) == 1


@pytest.mark.parametrize(
    "words", ["show 0", "trials", "status", "ledger", "stop", "report", "export-best", "data stats"]
)
def test_a_database_that_fails_is_one_line(monkeypatch, words: str):
    """Whatever a command was asking it: the error names the database without its password."""

    def fail(*_: object) -> None:
        raise OperationalError("SELECT secret", {}, Exception("connection lost"))

    monkeypatch.setattr("blade_tune.study.workspace.open_storage", lambda *_, **__: None)
    monkeypatch.setattr("blade_tune.study.stored.load_study", fail)
    place = ["--study", "mine", "--storage", "postgresql://me:secret@server/studies"]
    ended = CliRunner().invoke(blade_tune, [*words.split(), *place])
    assert isinstance(ended.exception, StorageError)
    assert str(ended.exception).endswith("@server/studies: connection lost")
    assert "secret" not in str(ended.exception)
