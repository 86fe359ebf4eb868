"""Studies in a notebook: each member is what the command of its name prints or writes, and imports stay light."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import blade_tune
from blade_tune import Recommender, Study, open_study
from blade_tune.errors import ConfigError, NothingStoredError
from blade_tune.report.section import Section
from blade_tune.selection.confirm import load_confirmation
from blade_tune.trial.curves import as_csv
from tests.cli.program import call
from tests.tiny import Watch, run

HEAVY = {"torch", "optuna", "pandas", "numpy", "plotly", "sqlalchemy", "pydantic", "duckdb"}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of three trials."""
    results = tmp_path_factory.mktemp("results")
    run(results)
    return results


@pytest.fixture
def study(results: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Study:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    return open_study("tiny", results=results)


def printed(results: Path, *words: str) -> str:
    """What a command prints of the study."""
    ended = call(*words, "--study", "tiny", "--results", str(results), cwd=results)
    assert ended.code == 0, ended.err
    return ended.out


# --- what is read ---


def test_tables_are_those_of_the_commands(study: Study, results: Path) -> None:
    """Rows and columns are those of `trials -f csv` and of epochs.csv, the status that of `status`."""
    trials, curves = study.trials(), study.curves()
    assert isinstance(trials, pd.DataFrame)
    rows = trials.astype(object).where(trials.notna(), None).to_dict("records")
    assert printed(results, "trials", "-f", "csv", "--save") == as_csv(rows)
    kept = pd.read_csv(results / "tiny" / "epochs.csv")
    pd.testing.assert_frame_equal(curves, kept, check_dtype=False)
    assert study.status() == json.loads(printed(results, "status", "-f", "json"))
    assert study.best == study.status()["best"]
    assert trials.loc[trials.value.idxmax(), "number"] == study.best["number"]
    assert (study.name, study.definition.model) == ("tiny", "blade")
    assert repr(study) == "<Study tiny: 3 of 3 trials are scored>"


def test_figures_are_those_of_the_report(study: Study) -> None:
    """By their names on the page; another name is an error with a guess."""
    names = study.figures
    assert {"history", "learning-curves", "cost"} <= set(names)
    assert len(set(names)) == len(names)
    assert names == [Section(name).anchor for name in names]
    assert study.figure("history").data[0].name
    with pytest.raises(ConfigError, match=r"has no figure 'histry'. Did you mean history\?"):
        study.figure("histry")


def test_what_a_run_stores_meanwhile_is_seen(tmp_path: Path) -> None:
    """An open study has the rows of now."""
    run(tmp_path, search__trials=1)
    opened = open_study("tiny", results=tmp_path)
    assert len(opened.trials()) == 1
    opened.stored.study.enqueue_trial({"model.num_heads": 1})
    assert len(opened.trials()) == 2


def test_the_report_is_written(study: Study, tmp_path: Path) -> None:
    """Into the folder of the study, or another; the paths come back."""
    paths = study.report(tmp_path / "out")
    assert [path.name for path in paths] == ["report.html", "tables.md", "tables.tex"]
    assert all(path.parent == tmp_path / "out" for path in paths)


# --- what is not there ---


def test_a_study_that_is_not_stored(results: Path, tmp_path: Path) -> None:
    """Known names are listed; a database that does not exist is one error."""
    with pytest.raises(ConfigError, match=r"no study 'tinny' is stored. Did you mean tiny\?"):
        open_study("tinny", results=results)
    with pytest.raises(NothingStoredError):
        open_study("tiny", results=tmp_path)


def test_settings_are_those_of_commands(
    results: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Files and the environment say what is not given; an unknown setting is an error."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    monkeypatch.setenv("BLADE_TUNE_RESULTS", str(results))
    monkeypatch.setenv("BLADE_TUNE_WORKERS", "3")
    opened = open_study("tiny")
    assert (opened.settings.results, opened.settings.workers) == (results, 3)
    assert open_study("tiny", workers=2).settings.workers == 2
    with pytest.raises(ConfigError, match=r"unknown key wrokers\. Did you mean workers"):
        open_study("tiny", wrokers=2)


# --- what works on it ---


def test_confirmed_exported_and_recommended(results: Path, tmp_path: Path) -> None:
    """The confirmation is the stored one and heard of, the bundle is that of the command, and it recommends."""
    heard = Watch()
    opened = open_study("tiny", results=results, workers=1, threads=1)
    confirmation = opened.confirm(top=2, seeds=2, callback=heard)
    assert confirmation == load_confirmation(opened.stored)
    assert len(confirmation.candidates) == 2
    assert len(heard.ended) == 4
    exported = opened.export(tmp_path / "bundle")
    assert exported["bundle"] == tmp_path / "bundle"
    assert exported["trial"] == confirmation.winner.trial
    assert exported["rule"] == "confirmed"
    found = Recommender.load(exported["bundle"]).recommend({"1": [("3", ["click"])]}, k=5)
    assert len(found["1"]) == 5
    words = ("export-best", "--out", str(tmp_path / "again"), "-f", "json", "-q")
    assert json.loads(printed(results, *words))["valid"] == exported["valid"]
    weights = "weights.safetensors"
    there, here = (tmp_path / name / weights for name in ("again", "bundle"))
    assert there.read_bytes() == here.read_bytes()


# --- imports ---


def loaded(code: str, cwd: Path) -> set[str]:
    """Which heavy packages a program has loaded at its end."""
    words = [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"]
    shown = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=True)
    return HEAVY & set(shown.stdout.split())


def test_the_package_alone_loads_nothing(tmp_path: Path) -> None:
    """`import blade_tune` loads neither torch nor Optuna nor pandas, and lists what it offers."""
    assert loaded("import blade_tune; dir(blade_tune); blade_tune.__version__", tmp_path) == set()
    assert {"Recommender", "Study", "open_study"} <= set(dir(blade_tune))
    assert set(blade_tune.LAZY) == set(blade_tune.__all__)
    with pytest.raises(AttributeError, match="no attribute 'open_studies'"):
        blade_tune.open_studies  # noqa: B018


def test_reading_a_study_loads_no_torch(results: Path) -> None:
    """Tables, figures and the report do without it."""
    code = (
        f"from blade_tune import open_study\nstudy = open_study('tiny', results={str(results)!r})\n"
        "study.trials(), study.curves(), study.status(), study.figures, study.best"
    )
    assert "torch" not in loaded(code, results)


def test_the_logger_is_left_alone(study: Study) -> None:
    """A notebook has its own handlers."""
    before = list(logging.getLogger("blade_tune").handlers)
    study.status()
    assert logging.getLogger("blade_tune").handlers == before
