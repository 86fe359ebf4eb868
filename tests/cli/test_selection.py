"""From a finished search to a choice, on the command line: confirm, ledger, ablate, sweep, compare, reproduce."""

import csv
import io
import json
import re
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from blade_tune.config import write_yaml
from blade_tune.metrics import by_cutoff
from blade_tune.study.workspace import Workspace
from tests.cli.program import OWN_IMPORTS, call, finish, start, write_study

VARIANTS = (
    "w/o early fusion (EF)",
    "w/o intermediate fusion (IF)",
    "w/o contrastive learning (CL)",
    "w/o behavior richness weights (BRW)",
    "w/o data augmentation (DA)",
    "w/o sets",
)


@pytest.fixture(scope="module")
def confirmed(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished study with its top two confirmed on two seeds and tested."""
    folder = shutil.copytree(finished, tmp_path_factory.mktemp("confirmed") / "copy")
    ended = call(
        "confirm",
        "-s",
        "tiny",
        "--top",
        "2",
        "--seeds",
        "2",
        "--test",
        "-f",
        "json",
        "-q",
        cwd=folder,
    )
    assert ended.code == 0, ended.err
    (folder / "confirmed.json").write_text(ended.out)
    return folder


def test_confirm_says_who_wins_and_how_sure_that_is(confirmed: Path):
    """A row a candidate, the winner first with its corrected interval, and its test figures over seeds."""
    said = json.loads((confirmed / "confirmed.json").read_text())
    winner, second = said["candidates"]
    assert winner["mean"] >= second["mean"]
    assert winner["corrected_low"] < winner["low"]
    assert winner["corrected_high"] == pytest.approx(winner["high"])
    assert second["corrected_low"] is None
    assert set(said["test"]) == set(by_cutoff(5, 10))
    told = ("--told", "truth,mode")
    again = call("confirm", "-s", "tiny", "--top", "2", "--seeds", "2", *told, cwd=confirmed)
    assert re.search(r"^told mode  +0\.\d{4} ± 0\.\d{4}  ", again.out, re.MULTILINE)
    assert again.out.splitlines()[-1].startswith("protocol: loss bce, ")
    assert "test rows opened 2 times" in again.out
    assert "carries the bias of having been chosen" in again.out
    assert again.err.count("started") == 0


def test_the_ledger_is_printed_and_verified(confirmed: Path, tmp_path: Path):
    """Every opening with its command; a changed line, or a missing end, is an error that names the file."""
    folder = shutil.copytree(confirmed, tmp_path / "copy")
    rows = json.loads(call("ledger", "-s", "tiny", "-f", "json", cwd=folder).out)
    assert [(row["line"], row["command"]) for row in rows] == [
        (1, "confirm --test"),
        (2, "confirm --test"),
    ]
    assert "evaluated 2 times; the ledger is whole" in call("ledger", "-s", "tiny", cwd=folder).out
    path = folder / "results" / "tiny" / "ledger.jsonl"
    whole = path.read_text()
    path.write_text(whole.replace("confirm --test", "harmless", 1))
    changed = call("ledger", "-s", "tiny", cwd=folder)
    assert (changed.code, "ledger.jsonl:1: must hold the hash" in changed.err) == (2, True)
    path.write_text(whole.splitlines(keepends=True)[0])
    cut = call("ledger", "-s", "tiny", cwd=folder)
    assert (cut.code, "must go on from the 2 lines" in cut.err) == (2, True)
    refused = call("export-best", "-s", "tiny", "-q", cwd=folder)
    assert (refused.code, "must go on from the 2 lines" in refused.err) == (2, True)


def test_effects_are_printed_and_written(confirmed: Path):
    """`ablate` prints a table of the model's parts, `sweep` one of each parameter; both are also files."""
    ablated = call("ablate", "-s", "tiny", "-q", cwd=confirmed)
    assert ablated.code == 0, ablated.err
    assert [label in ablated.out for label in VARIANTS] == [True] * len(VARIANTS)
    swept = call(
        "sweep",
        "-s",
        "tiny",
        "--param",
        "model.lambda_",
        "--values",
        "0,1",
        "-q",
        "-f",
        "csv",
        cwd=confirmed,
    )
    rows = list(csv.DictReader(io.StringIO(swept.out)))
    assert [row["configuration"] for row in rows][1:] == ["model.lambda_=0.0", "model.lambda_=1.0"]
    files = {path.name for path in (confirmed / "results" / "tiny" / "effects").iterdir()}
    assert files == {
        f"{name}.{kind}" for name in ("ablation", "model.lambda_") for kind in ("md", "tex", "csv")
    }


def test_a_grid_is_one_table_with_its_lines(confirmed: Path):
    """Every combination and the line beside them; a line without a grid is a mistake in the command."""
    sweep = ["sweep", "-s", "tiny", "-q", "-f", "csv", "--param", "model.augmentation"]
    sweep += ["--values", "add,flip", "--param", "model.rho", "--values", "0.5"]
    line = ["--line", "model.augmentation=none"]
    ended = call(*sweep, "--grid", *line, cwd=confirmed)
    assert ended.code == 0, ended.err
    rows = list(csv.DictReader(io.StringIO(ended.out)))
    assert {row["table"] for row in rows} == {"model.augmentation x model.rho"}
    assert [row["configuration"] for row in rows][1:] == [
        "model.augmentation=add, model.rho=0.5",
        "model.augmentation=flip, model.rho=0.5",
        "model.augmentation=none",
    ]
    files = (confirmed / "results" / "tiny" / "effects").glob("model.augmentation x model.rho.*")
    assert sorted(path.suffix for path in files) == [".csv", ".md", ".tex"]
    refused = call(*sweep, *line, cwd=confirmed)
    assert (refused.code, "give --grid too" in refused.err) == (2, True)


def test_variants_may_be_tuned(confirmed: Path, tmp_path: Path):
    """`ablate --tune` compares searches, in a table like that of `compare`; budgets must be equal from the start."""
    folder = shutil.copytree(confirmed, tmp_path / "copy")
    ablate = ["ablate", "-s", "tiny", "-q", "-f", "csv"]
    for words, said in [
        (["--tune", "9"], "--tune 3, or --uneven"),
        (["--tune", "3", "--seeds", "4"], "leave --seeds out"),
        (["--uneven"], "give --tune N"),
    ]:
        refused = call(*ablate, *words, cwd=folder)
        assert (refused.code, said in refused.err) == (2, True), refused.err
    studies = Workspace.at(None, folder / "results")
    assert studies.find("tiny.ablate-w-o-EF") is None
    tuned = call(*ablate, "--tune", "3", "--test", cwd=folder)
    assert tuned.code == 0, tuned.err
    rows = {row["model"]: row for row in csv.DictReader(io.StringIO(tuned.out))}
    assert rows.keys() >= {"blade", *VARIANTS}
    assert {rows[name]["compared_with"] for name in rows if "w/o" in name} == {"blade"}
    assert {rows[name]["trials"] for name in rows if "w/o" in name} == {"3"}
    text = (folder / "results" / "tiny" / "effects" / "ablation, tuned, test.md").read_text()
    assert "Holm over 6 pairs" in text
    assert studies.study("tiny.ablate-w-o-sets").label == "w/o sets"


def test_a_sweep_needs_values_for_each_parameter(confirmed: Path):
    """Parameters and lists of values go in pairs."""
    ended = call(
        "sweep",
        "-s",
        "tiny",
        "--param",
        "model.alpha",
        "--param",
        "model.tau",
        "--values",
        "1",
        cwd=confirmed,
    )
    assert (ended.code, "must have its own --values" in ended.err) == (2, True)


def test_the_exported_model_is_the_confirmed_one(confirmed: Path):
    """Without a rule the confirmed winner is exported, whatever the search's best was, and no warning is needed."""
    said = json.loads((confirmed / "confirmed.json").read_text())
    exported = call("export-best", "-s", "tiny", "-f", "json", cwd=confirmed)
    facts = json.loads(exported.out)
    assert (facts["rule"], facts["trial"]) == ("confirmed", said["candidates"][0]["trial"])
    assert "no winner is confirmed" not in exported.err
    best = json.loads(
        call("export-best", "-s", "tiny", "--rule", "best", "-f", "json", "-q", cwd=confirmed).out
    )
    assert best["rule"] == "best"


def test_without_a_confirmation_export_warns(finished_copy: Path):
    """The best trial is exported with a plain warning; a rule that needs a confirmation is refused."""
    exported = call("export-best", "-s", "tiny", "-f", "json", cwd=finished_copy)
    assert json.loads(exported.out)["rule"] == "best"
    assert "blade-tune confirm --study tiny" in exported.err
    for rule in ("confirmed", "1se"):
        refused = call("export-best", "-s", "tiny", "--rule", rule, cwd=finished_copy)
        assert (refused.code, "needs a confirmation" in refused.err) == (2, True)


def test_reproduce_gives_bits_or_exit_code_7(finished_copy: Path):
    """A trial is made again exactly; after the database's figure was changed the first epoch that differs is named."""
    again = call("reproduce", "1", "-s", "tiny", "-f", "json", cwd=finished_copy)
    assert json.loads(again.out) == {
        "trial": 1,
        "epochs": 2,
        "largest_difference": 0.0,
        "changed": [],
        "written": [],
    }
    path = finished_copy / "results" / "tiny" / "trials" / "1" / "metrics.jsonl"
    path.write_text(path.read_text().replace('"hr@5": ', '"hr@5": 1'))
    with closing(sqlite3.connect(finished_copy / "results" / "studies.db")) as database, database:
        database.execute("UPDATE trial_intermediate_values SET intermediate_value = 0.99")
    other = call("reproduce", "1", "-s", "tiny", cwd=finished_copy)
    assert (other.code, "epoch 1 differs first: ndcg@10 was 0.99" in other.err) == (7, True)


def test_compare_prints_one_table(tmp_path: Path):
    """Two models at a toy budget end in one table with baselines; uneven budgets are refused, or said in a footnote."""
    write_study(tmp_path / "studies" / "tiny.yaml")
    # The shipped spaces hold models a hundred times as costly
    for name in ("blade-extended", "blade_released"):
        path = tmp_path / "search_spaces" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            write_yaml(
                {"model": {"embedding_size": 8, "max_length": 8, "dropout": {"choice": [0.1, 0.2]}}}
            )
        )
    words = (
        "compare",
        "--study",
        "tiny",
        "--models",
        "blade,blade_released",
        "--top",
        "1",
        "--seeds",
        "2",
        "-q",
    )
    planned = call(
        *words, "--trials", "2", "--epochs", "1", "--dry-run", "-f", "json", cwd=tmp_path
    )
    assert [(row["model"], row["epochs_at_most"]) for row in json.loads(planned.out)] == [
        ("blade", 4),
        ("blade_released", 4),
        ("all", 8),
    ]
    assert not (tmp_path / "results" / "studies.db").exists()
    ended = call(*words, "--trials", "2", "--epochs", "1", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert "blade †" in ended.out
    assert "popularity, untuned" in ended.out
    assert "item_knn, untuned" in ended.out
    folder = tmp_path / "results" / "tiny.compare"
    assert {path.name for path in folder.iterdir()} == {"valid.md", "valid.tex", "valid.csv"}
    lone = Workspace.at(None, tmp_path / "results").study("tiny.compare-blade")
    lone.study.set_user_attr("budget", 3)
    assert call("worker", "-s", "tiny.compare-blade", "-q", cwd=tmp_path).code == 0
    refused = call(*words, "--trials", "2", "--epochs", "1", cwd=tmp_path)
    assert (refused.code, "trials of blade 3, blade_released 2" in refused.err, refused.out) == (
        2,
        True,
        "",
    )
    told = ("--told", "truth,mode")
    shown = call(*words, "--trials", "2", "--epochs", "1", "--uneven", *told, cwd=tmp_path)
    assert "blade_released, told mode" in shown.out
    assert "told mode: takes a target set, and is told the same for every item" in shown.out
    assert "protocol: loss bce, recipe published" in shown.out
    assert "budgets are not equal: trials of blade 3, blade_released 2" in shown.out


def test_a_copied_study_brings_its_runs(confirmed: Path):
    """`storage copy` takes the runs along, so that the copy has the confirmed winner too."""
    copied = call("storage", "copy", "-s", "tiny", "--to", "sqlite:///copy.db", cwd=confirmed)
    assert copied.code == 0, copied.err
    assert "study tiny.runs: " in copied.out
    words = (
        "confirm",
        "-s",
        "tiny",
        "--top",
        "2",
        "--seeds",
        "2",
        "-f",
        "json",
        "--storage",
        "sqlite:///copy.db",
    )
    again = call(*words, cwd=confirmed)
    said = json.loads((confirmed / "confirmed.json").read_text())
    assert json.loads(again.out)["candidates"] == said["candidates"]
    assert "started" not in again.err


@pytest.mark.slow
def test_a_killed_confirmation_goes_on(finished_copy: Path):
    """kill -9 of the program and of its workers loses no run and adds none: each wanted run is complete once."""
    words = (
        "confirm",
        "-s",
        "tiny",
        "--top",
        "3",
        "--seeds",
        "3",
        "--workers",
        "2",
        "--heartbeat-s",
        "0.5",
        "--grace-s",
        "2",
    )
    first = start(*words, cwd=finished_copy, env=OWN_IMPORTS)
    family = psutil.Process(first.pid)
    rows = finished_copy / "results" / "tiny.runs" / "trials"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(rows.glob("*/metrics.jsonl"))) < 2:
        time.sleep(0.05)
    workers = family.children(recursive=True)
    for process in (family, *workers):
        process.send_signal(signal.SIGKILL)
    finish(first)
    ended = finish(start(*words, "-f", "json", cwd=finished_copy), timeout_s=120)
    assert ended.code == 0, ended.err
    assert len(json.loads(ended.out)["candidates"]) == 3
    trials = json.loads(call("trials", "-s", "tiny.runs", "-f", "json", cwd=finished_copy).out)
    assert sum(trial["state"] == "complete" for trial in trials) == 9
    assert not [trial for trial in trials if trial["state"] in ("running", "waiting")]
