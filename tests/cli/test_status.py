"""`blade-tune status` of a study that somebody works on."""

import csv
import io
import json
import os
import pty
import re
import signal
from pathlib import Path

import pytest

from blade_tune.doctor import checks as doctor
from blade_tune.storage.attempts import Claimant
from blade_tune.storage.process import Owner
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace
from blade_tune.training.epoch_record import EpochRecord
from blade_tune.trial.clock import Clock
from tests.cli.program import call, finish, start
from tests.cli.test_streams import ESCAPE


@pytest.fixture
def worked_on(finished_copy: Path) -> Path:
    """The finished study with a fourth trial to go, which this process holds."""
    stored = open_tiny(finished_copy)
    stored.study.set_user_attr("budget", 4)
    attempt = stored.attempts.claim(4, Claimant(Owner.here(), "cpu", 1.0))
    assert attempt
    trial = stored.study.ask()
    stored.attempts.link(attempt, trial.number)
    trial.report(0.25, 1)
    return finished_copy


def open_tiny(folder: Path) -> StoredStudy:
    results = folder / "results"
    return Workspace.at(None, results).study("tiny")


def test_json_has_who_is_at_work(worked_on):
    """A mapping a worker, in a list; baselines, noise, failures and cost stand beside it."""
    facts = json.loads(call("status", "--study", "tiny", "-f", "json", cwd=worked_on).out)
    (worker,) = facts["workers"]
    assert list(worker) == ["trial", "epochs", "best", "who", "pid", "device", "since", "heard_s"]
    assert (worker["trial"], worker["epochs"], worker["best"]) == (3, 1, 0.25)
    assert all(0 < figure < 1 for figure in facts["baselines"].values())
    assert (facts["noise"], facts["failures"], facts["gpu_hours"]) == (None, {}, 0.0)


def test_the_time_to_the_baseline_stands_beside_the_verdict(finished):
    """In JSON and in the table; its seconds are those of the database, so no file of a trial is needed."""
    facts = json.loads(call("status", "--study", "tiny", "-f", "json", cwd=finished).out)
    names = list(facts)
    assert names[names.index("verdict") :][:3] == ["verdict", "warning", "time_to_baseline"]
    found, best = facts["time_to_baseline"], max(facts["baselines"].values())
    assert (found["figure"], facts["baselines"][found["baseline"]]) == (best, best)
    assert (found["trial"] is None) == (facts["best"]["value"] <= best)
    assert found["words"] in call("status", "--study", "tiny", cwd=finished).out


def test_a_passed_baseline_has_its_time(finished_copy):
    """As soon as a trial has exceeded it: from the start of the study and of the trial, which still runs."""
    stored = open_tiny(finished_copy)
    attempt = stored.attempts.claim(4, Claimant(Owner.here(), "cpu", 1.0))
    assert attempt
    trial = stored.study.ask()
    stored.attempts.link(attempt, trial.number)
    lower = {"metrics": {"item_knn": {"ndcg@10": 0.99}}}
    stored.study.set_user_attr("baselines", {**stored.study.user_attrs["baselines"], **lower})
    clock = Clock(trial)
    clock.read([EpochRecord(1, {}, None, 2.5)], 1, 0.995)
    trial.report(0.995, 1)
    found = json.loads(call("status", "--study", "tiny", "-f", "json", cwd=finished_copy).out)[
        "time_to_baseline"
    ]
    assert (found["trial"], found["epoch"], found["training_seconds"]) == (3, 1, 2.5)
    assert (
        found["study_seconds"]
        > (trial.datetime_start - stored.trials[0].datetime_start).total_seconds()
    )


def test_a_table_has_the_workers_below(worked_on):
    """First the facts, then a row a worker."""
    facts, _, workers = call("status", "--study", "tiny", cwd=worked_on).out.partition("\n\n")
    assert re.search(r"\nworkers +1 *$", facts)
    assert [line.split()[0] for line in workers.splitlines()] == ["trial", "3"]


def test_csv_has_the_workers_by_index(worked_on):
    """Each of their facts is a row under a dotted name."""
    rows = csv.DictReader(
        io.StringIO(call("status", "--study", "tiny", "-f", "csv", cwd=worked_on).out)
    )
    assert {row["fact"]: row["value"] for row in rows}["workers.0.best"] == "0.25"


def test_a_large_study_is_warned_of(finished, monkeypatch):
    """On stderr, while the result stays alone on stdout."""
    monkeypatch.setattr(doctor, "MANY_ROWS", 2)
    ended = call("status", "--study", "tiny", "-f", "json", cwd=finished)
    assert (
        ended.err
        == "WARNING study=tiny has 3 trials: a new study for each version of the space is better\n"
    )
    assert json.loads(ended.out)["scored"] == 3


def test_watching_a_finished_study_ends(finished):
    """It is shown once, with why there is nothing to watch."""
    ended = call("status", "--study", "tiny", "--watch", cwd=finished)
    assert (ended.code, ended.err) == (0, "")
    shown, *warnings, why = ended.out.splitlines()
    assert all(" is BELOW untuned " in warning for warning in warnings)
    figures = r"popularity=0\.\d{4} popularity_told=0\.\d{4} item_knn=0\.\d{4}"
    verdict = r"(not )?above item_knn: [-+]0\.\d{4} \([-+]0\.\d{4} to [-+]0\.\d{4}\)"
    assert re.fullmatch(
        rf"study=tiny scored=3/3 complete=3 best=0\.\d{{4}} best_trial=\d {figures} {verdict}",
        shown,
    )
    assert why == "3 of 3 trials are scored"


def test_watching_follows_a_study_to_its_end(worked_on):
    """In a pipe a line tells whatever changed: the trial's epochs, then the study's count; and it ends by itself."""
    watching = start("status", "--study", "tiny", "--watch", "--every", "0.1", cwd=worked_on)
    assert watching.stdout is not None
    assert watching.stdout.readline().startswith("study=tiny scored=3/4 complete=3 running=1 ")
    line = watching.stdout.readline()
    if " is BELOW untuned " in line:
        line = watching.stdout.readline()
    assert line.startswith("trial=3 epochs=1 best=0.2500 who=")
    study = open_tiny(worked_on).study
    study.tell(3, 0.5)
    ended = finish(watching)
    assert (ended.code, ended.err) == (0, "")
    shown, *warnings, why = ended.out.splitlines()
    assert all(" is BELOW untuned " in warning for warning in warnings)
    assert shown.startswith(
        "study=tiny scored=4/4 complete=4 best=0.5000 best_trial=3 popularity=0."
    )
    assert why == "4 of 4 trials are scored"


def test_ctrl_c_ends_the_watching_alone(worked_on):
    """Its exit code is that of an interruption, so that what was to follow the study's end does not."""
    watching = start("status", "--study", "tiny", "--watch", cwd=worked_on)
    assert watching.stdout is not None
    watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    ended = finish(watching)
    assert (ended.code, "Traceback" in ended.err) == (130, False)
    assert len(open_tiny(worked_on).attempts.open_attempts()) == 1


def test_a_terminal_shows_it_live(worked_on):
    """There the workers stand in columns."""
    open_tiny(worked_on).study.set_user_attr("budget", 3)
    reader, terminal = pty.openpty()
    words = ("status", "--study", "tiny", "--watch", "--cpu-price", "2.5")
    ended = finish(start(*words, cwd=worked_on, stdout=terminal))
    assert (ended.code, ended.err) == (0, "")
    text = ESCAPE.sub("", os.read(reader, 65536).decode())
    os.close(terminal)
    os.close(reader)
    assert re.search(r"tiny \S+ 3/3 trials", text)
    assert "3 complete, 1 running" in text
    assert re.search(r"best: trial \d, ndcg@10 0\.\d{4}; ", text)
    assert re.search(r"spent: [\d.]+ CPU hours of training, 0 GPU hours; cost: \d", text)
    assert re.search(r"(was first|no trial has) passed", text)
    assert re.search(r"trial +epochs +best +who +pid +device +since +heard_s", text)
    assert re.search(r"3 +1 +0\.2500 +\S+ +\d+ +cpu +\S+Z +\d", text)


@pytest.mark.parametrize("words", [["--watch", "-f", "json"], ["--watch", "--every", "0"]])
def test_what_cannot_be_watched_is_a_mistake(finished, words):
    """Watching is for people, and has a pace."""
    assert call("status", "--study", "tiny", *words, cwd=finished).code == 2
