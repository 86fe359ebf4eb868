"""How commands end: the exit code of each kind of error, and a message that shows the way out."""

import json
import socket
import sqlite3
from pathlib import Path

import pytest

from tests.cli.program import TINY, call, finish, start, with_faults, write_study


def closed_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


UNREACHABLE = f"postgresql://me:hunter2@127.0.0.1:{closed_port()}/studies"
MISTAKES = {
    "an unknown study": (2, "run --study demoo", ["Did you mean demo?"]),
    "a study file that is not there": (2, "run --study studies/none.yaml", ["studies/none.yaml: no such file"]),
    "an unknown stored study": (2, "status --study tiney", ["Did you mean tiny?"]),
    "a trial that is not there": (2, "show 3 --study tiny", ["trials 0 to 2, got 3"]),
    "an unknown model": (2, "run --study tiny --model blad", ["Did you mean blade?"]),
    "an unknown space": (2, "space show blad", ["Did you mean blade?"]),
    "no worker": (2, "run --study tiny --workers 0", ["--workers: workers must be greater", "got '0'"]),
    "an unknown device": (2, "run --study demo --device gpu", ["--device must be auto, cpu", "got 'gpu'"]),
    "an unknown device to export on": (2, "export-best --study tiny --device gpu", ["--device must be auto"]),
    "no database URL": (2, "run --study demo --storage studies.db", ["the storage must be a database URL"]),
    "data that is not given": (
        2,
        "run --study qk-video",
        ["(train.txt, valid.txt, between_val_test.txt, test.txt)", "EIDP", "--data DIR", "blade-tune run --study demo"],
    ),
    "data that is not there": (2, "run --study qk-video --data nowhere", ["nowhere: must hold train.txt", "EIDP"]),
    "another number of epochs": (3, "run --study tiny --epochs 3", ["space.train.max_epochs: stored 2, now 3"]),
    "another seed": (3, "run --study tiny --seed 1", ["seed: stored 2026, now 1"]),
    "no database file": (4, "status --study tiny --results nowhere", ["nowhere/studies.db", "--results or --storage"]),
    "no database file to show": (4, "dashboard --storage sqlite:///none.db", ["none.db", "--results or --storage"]),
    "a database that nobody serves": (4, f"run --study demo --storage {UNREACHABLE}", ["me:***@127.0.0.1", "refused"]),
    "a database that nobody serves to read": (4, f"status --study tiny --storage {UNREACHABLE}", ["refused"]),
}  # fmt: skip


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """A run does not wait for a database that is away when it starts."""
    monkeypatch.setattr("blade_tune.storage.connect.OUTAGE_S", 0.0)


@pytest.mark.parametrize(("code", "words", "told"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_ends_in_its_code_and_one_message(finished, code, words, told):
    """Nothing on stdout, one message on stderr that names fact and way out, no traceback, no password."""
    ended = call(*words.split(), cwd=finished)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith("Error: ")
    assert [fact for fact in told if fact not in ended.err] == []
    assert "Traceback" not in ended.err
    assert "hunter2" not in ended.err


def test_mistakes_add_no_trial(finished, status):
    """After every mistake above, the study is what it was."""
    for _, words, _ in MISTAKES.values():
        call(*words.split(), cwd=finished)
    assert json.loads(call("status", "--study", "tiny", "-f", "json", cwd=finished).out) == status


def test_a_changed_space_is_refused(finished_copy):
    """A range that differs from the stored one ends in 3, names the parameter with both ranges, and adds no row."""
    space = {
        **TINY["space"],
        "model": {**TINY["space"]["model"], "alpha": {"float": [0.0, 0.5], "step": 0.1}},
    }
    write_study(finished_copy / "studies" / "tiny.yaml", space=space)
    ended = call("run", "--study", "tiny", "--trials", "9", cwd=finished_copy)
    assert ended.code == 3
    assert (
        "space.model.alpha: stored {'float': [0.0, 1.0], 'step': 0.1}, now {'float': [0.0, 0.5]"
        in ended.err
    )
    assert len(trial_rows(finished_copy)) == 3


def test_a_finished_study_runs_nothing(finished_copy):
    """Running it again ends in 0, says so, and adds no row."""
    before = trial_rows(finished_copy)
    ended = call("run", "--study", "tiny", cwd=finished_copy)
    assert (ended.code, ended.out) == (0, "")
    *_, end, following = ended.err.splitlines()
    assert end == "study=tiny ended: 3 of 3 trials are scored"
    assert following == "Next: blade-tune confirm --study tiny --top 3 --seeds 3"
    assert trial_rows(finished_copy) == before


def test_a_larger_budget_adds_the_difference(finished_copy):
    """--trials is the total: 4 of a study with 3 adds one row."""
    assert call("run", "--study", "tiny", "--trials", "4", cwd=finished_copy).code == 0
    assert len(trial_rows(finished_copy)) == 4


def test_failing_trials_end_in_5_and_nothing_to_export_in_6(tmp_path):
    """Failures in a row end a run with the latest one's words; a study that completed no trial exports nothing."""
    study = str(write_study(tmp_path / "tiny.yaml"))
    broken = with_faults(kinds=["raise"], again=True, turns=str(tmp_path / "turn"))
    ended = call(
        "run", "--study", study, "--max-consecutive-failures", "2", cwd=tmp_path, env=broken
    )
    assert ended.code == 5
    assert "Error: study tiny: 2 trials in a row failed" in ended.err
    assert ended.err.endswith("ValueError: broken on purpose\n")
    assert "broken on purpose" in call("trials", "--study", "tiny", "-f", "csv", cwd=tmp_path).out
    assert "broken on purpose" in call("show", "1", "--study", "tiny", cwd=tmp_path).out
    facts = json.loads(call("status", "--study", "tiny", "-f", "json", cwd=tmp_path).out)
    assert (facts["scored"], facts["trials"]["failed"], facts["best"]) == (0, 2, None)
    ended = call("export-best", "--study", "tiny", cwd=tmp_path)
    assert (ended.code, ended.out) == (6, "")
    assert "no completed trial" in ended.err


def test_ctrl_c_anywhere_ends_in_130(finished, monkeypatch):
    """Ctrl-C in a command that has nothing to store ends it in 130 without a traceback."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("blade_tune.report.tables.status", interrupted)
    ended = call("status", "--study", "tiny", cwd=finished)
    assert (ended.code, ended.out, ended.err.strip()) == (130, "", "")


@pytest.mark.parametrize(
    "words",
    [
        "",
        "runn",
        "run",
        "run --study demo --epochs 0",
        "status --study demo -f xml",
        "show one --study demo",
    ],
)
def test_wrong_usage_ends_in_2(tmp_path, words):
    """What click refuses ends in 2 with the usage on stderr; the words alone print the help there."""
    ended = call(*words.split(), cwd=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("Usage: blade-tune")


def test_the_process_ends_in_the_same_codes(tmp_path):
    """The exit code of an error is that of the process, and its message alone is on stderr."""
    ended = finish(start("space", "check", "blad", cwd=tmp_path))
    assert (ended.code, ended.out) == (2, "")
    [line] = ended.err.splitlines()
    assert line.startswith(
        "Error: no file blad.yaml in ./search_spaces or in the package. Did you mean blade? Also known: "
    )


def trial_rows(folder: Path) -> list[tuple[object, ...]]:
    """The study's rows as the database holds them."""
    database = sqlite3.connect(folder / "results" / "studies.db")
    try:
        return database.execute("SELECT * FROM trials ORDER BY trial_id").fetchall()
    finally:
        database.close()
