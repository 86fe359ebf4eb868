"""Completion in a shell: names of commands, studies, models, spaces and trials, fast and without a word on stderr."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from blade_tune.cli.program import blade_tune
from blade_tune.models import MODELS
from tests.cli.test_help import HEAVY

SHELLS = ("bash", "zsh", "fish")


def completed(words: str, cwd: Path, shell: str = "bash", **env: str) -> list[str]:
    """The lines that the program answers a shell with that completes the last of some words, empty or begun."""
    typed = words.split(" ")
    protocol = {
        "_BLADE_TUNE_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "blade-tune " + words,
        "COMP_CWORD": typed[-1] if shell == "fish" else str(len(typed)),
        "XDG_CONFIG_HOME": str(cwd / "no-config"),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        ended = CliRunner().invoke(
            blade_tune, [], env={**protocol, **env}, prog_name="blade-tune", standalone_mode=False
        )
    assert (ended.exit_code, ended.stderr) == (0, "")
    # Of nothing to offer, click prints an empty line
    return [line for line in ended.stdout.splitlines() if line]


def names(words: str, cwd: Path, **env: str) -> list[str]:
    return [line.removeprefix("plain,") for line in completed(words, cwd, **env)]


def test_commands_are_completed(tmp_path):
    """Those that begin so, and flags of a command."""
    assert names("stu", tmp_path) == ["study", "studies"]
    assert names("data pre", tmp_path) == ["prepare"]
    assert "--study" in names("status --s", tmp_path)


@pytest.mark.parametrize("command", ["status", "trials", "show 1", "reproduce 1", "doctor"])
def test_stored_studies_are_completed(finished: Path, command: str):
    """Where a study must be stored, study files are not offered."""
    assert names(f"{command} --study t", finished) == ["tiny"]
    assert names(f"{command} -s ", finished) == ["tiny"]


def test_stored_studies_are_completed_as_members_and_sources(finished: Path):
    """Members are a list, in which each is offered once."""
    assert names("run --study tiny --members ", finished) == ["tiny"]
    assert names("run --study tiny --members tiny,", finished) == []
    for command in ("run", "auto"):
        assert names(f"{command} --study tiny --warm-start t", finished) == ["tiny"]


def test_study_files_are_completed_for_a_run(finished: Path):
    """Stored studies and files, each once; the rest of a path is left to the shell."""
    offered = names("run --study ", finished)
    assert {"tiny", "demo", "qk-video"} <= set(offered)
    assert len(set(offered)) == len(offered)
    assert completed("run --study studies/t", finished) == ["file,studies/t"]


def test_other_places_are_looked_at(finished: Path, tmp_path: Path):
    """--results as typed, or as the environment has it, is where studies are."""
    results = str(finished / "results")
    assert names(f"status --results {results} --study ", tmp_path) == ["tiny"]
    assert names("status --study ", tmp_path, BLADE_TUNE_RESULTS=results) == ["tiny"]
    url = f"sqlite:///{results}/studies.db"
    assert names(f"status --storage {url} --study ", tmp_path) == ["tiny"]
    assert names("status --study ", tmp_path) == []


def test_models_and_spaces_are_completed(tmp_path: Path):
    """Those of the registry and of the catalog; of a list its last, and none twice."""
    assert names("run --study demo --model ", tmp_path) == list(MODELS)
    assert names("run --model blade", tmp_path) == ["blade", "blade_released"]
    assert names("compare --models ease,ial", tmp_path) == ["ease,ials"]
    assert "ease,ease" not in names("compare --models ease,", tmp_path)
    assert names("space show ea", tmp_path) == ["ease"]
    assert "blade-any" in names("space check ", tmp_path)
    assert names("study new mine --from dem", tmp_path) == ["demo"]


@pytest.mark.parametrize("command", ["show", "reproduce"])
def test_trials_of_the_study_are_completed(finished: Path, command: str):
    """By number, once the study was typed; zsh and fish show state and value."""
    assert names(f"{command} --study tiny ", finished) == ["0", "1", "2"]
    assert names(f"{command} --study tinny ", finished) == []
    assert names(f"{command} ", finished) == []
    [shown] = completed(f"{command} --study tiny 1", finished, "fish")
    assert shown.startswith("plain,1\tcomplete, 0.")


def test_every_shell_is_answered_in_its_form(finished: Path):
    """bash gets type and value, zsh three lines, fish a line with a tab before the description."""
    assert completed("run --model eas", finished, "bash") == ["plain,ease"]
    kind, value, words = completed("run --model eas", finished, "zsh")
    assert (kind, value, words[:6]) == ("plain", "ease", "EASE: ")
    [line] = completed("run --model eas", finished, "fish")
    assert line.startswith("plain,ease\tEASE: ")


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_a_script(tmp_path: Path, shell: str):
    """What docs/studies.md has one put into a shell's file asks this program under its name."""
    ended = subprocess.run(
        [sys.executable, "-c", "from blade_tune.cli.main import main; main()"],
        env={**os.environ, "_BLADE_TUNE_COMPLETE": f"{shell}_source"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert f"_BLADE_TUNE_COMPLETE={shell}_complete" in ended.stdout
    assert "blade-tune" in ended.stdout
    page = (Path(__file__).parents[2] / "docs" / "studies.md").read_text(encoding="utf-8")
    assert f"_BLADE_TUNE_COMPLETE={shell}_source blade-tune" in page


def damage_database(folder: Path) -> Mapping[str, str]:
    (folder / "results").mkdir()
    (folder / "results" / "studies.db").write_bytes(b"no database" * 100)
    return {}


def damage_settings(folder: Path) -> Mapping[str, str]:
    (folder / "blade-tune.yaml").write_text("workers: [", encoding="utf-8")
    return {}


def name_no_server(_: Path) -> Mapping[str, str]:
    return {"BLADE_TUNE_STORAGE": "postgresql://me:hunter2@127.0.0.1:9/none"}


def name_nonsense(_: Path) -> Mapping[str, str]:
    return {"BLADE_TUNE_STORAGE": "nonsense", "BLADE_TUNE_WORKERS": "many"}


@pytest.mark.parametrize("wrong", [damage_database, damage_settings, name_no_server, name_nonsense])
@pytest.mark.parametrize("words", ["status --study ", "show --study tiny ", "report -s "])
def test_nothing_that_is_wrong_disturbs_a_line(tmp_path: Path, wrong, words: str):
    """No names, exit code 0 and not a word, whatever is broken; what does not depend on it goes on."""
    env = wrong(tmp_path)
    assert completed(words, tmp_path, **env) == []
    assert "demo" in names("run --study ", tmp_path, **env)


def test_names_of_others_are_not_offered_where_a_shell_would_split_them(finished_copy: Path):
    """A study of another program may have spaces or quotes in its name."""
    with sqlite3.connect(finished_copy / "results" / "studies.db") as database:
        database.execute("INSERT INTO studies (study_name) VALUES ('a b'), ('$(rm)'), ('other')")
    assert names("status --study ", finished_copy) == ["tiny", "other"]


def test_completion_loads_nothing_heavy(finished: Path):
    """Neither Optuna nor SQLAlchemy nor torch is imported to complete any kind of name."""
    lines = ["", "status -s ", "run -s ", "run --model ", "space show ", "show -s tiny "]
    script = """
import json, os, sys
from blade_tune.cli.program import blade_tune
for words in json.loads(sys.argv[1]):
    os.environ |= {"COMP_WORDS": f"blade-tune {words}", "COMP_CWORD": str(len(words.split(" ")))}
    try:
        blade_tune([], prog_name="blade-tune", standalone_mode=False)
    except SystemExit:
        print()
print("loaded:", *sorted(set(json.loads(sys.argv[2])) & set(sys.modules)))
"""
    env = {**os.environ, "_BLADE_TUNE_COMPLETE": "bash_complete"}
    printed = subprocess.check_output(
        [sys.executable, "-c", script, json.dumps(lines), json.dumps(HEAVY)],
        cwd=finished,
        env=env,
        text=True,
        timeout=60,
    )
    assert "plain,tiny\n" in printed
    assert printed.endswith("loaded:\n")
