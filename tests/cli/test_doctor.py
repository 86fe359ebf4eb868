"""`blade-tune doctor`."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.program import call, write_study
from tests.data.examples import SPLIT_FILES, write_split

COLUMNS = ["check", "state", "what", "remedy"]


@pytest.fixture
def on_files(tmp_path: Path) -> Path:
    """A folder with split files in data/ and a study that was run on them."""
    lines = [f"{user},{user + step},1,{step % 2},0,0" for user in range(1, 7) for step in range(5)]
    held_out = [f"{user},{user % 6 + 1},0,1,0,0" for user in range(1, 7)]
    write_split(tmp_path / "data", train=lines, valid=held_out, between=[], test=held_out)
    write_study(tmp_path / "studies" / "files.yaml", data=SPLIT_FILES, search={"trials": 1})
    assert call("run", "--study", "files", "--data", "data", "-q", cwd=tmp_path).code == 0
    return tmp_path


@pytest.mark.parametrize("words", [[], ["--study", "tiny"], ["--study", "tiny", "--fix"]])
def test_a_healthy_study_ends_in_0(finished, words):
    """All of the database or one study: findings on stdout, nothing on stderr."""
    ended = call("doctor", *words, "-f", "json", cwd=finished)
    assert (ended.code, ended.err) == (0, "")
    findings = json.loads(ended.out)
    assert all(list(finding) == COLUMNS for finding in findings)
    assert [finding["check"] for finding in findings if finding["state"] == "ok"][
        -1
    ] == "study tiny"
    assert "problem" not in {finding["state"] for finding in findings}


def test_the_table_and_csv_are_the_same_findings(finished):
    """Every form has a row a finding."""
    rows = list(csv.DictReader(io.StringIO(call("doctor", "-f", "csv", cwd=finished).out)))
    assert list(rows[0]) == COLUMNS
    lines = call("doctor", cwd=finished).out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "check",
        *(row["check"].split()[0] for row in rows),
    ]


def test_changed_data_ends_in_1_until_it_is_back(on_files):
    """It names both hashes and --data; with the data that the study was run on the exit code is 0 again."""
    assert call("doctor", "--study", "files", cwd=on_files).code == 0
    train = on_files / "data" / "train.txt"
    before = train.read_text()
    train.write_text(before + "1,20,1,1,1,1\n")
    ended = call("doctor", "--study", "files", cwd=on_files)
    assert (ended.code, "was run on data of hash" in ended.out, "give --data" in ended.out) == (
        1,
        True,
        True,
    )

    (on_files / "other").mkdir()
    for file in (on_files / "data").iterdir():
        (on_files / "other" / file.name).write_text(before if file == train else file.read_text())
    assert call("doctor", "--study", "files", "--data", "other", cwd=on_files).code == 0


def test_data_that_is_gone_is_a_warning(on_files):
    """Whoever only looks at a study does not need it."""
    (on_files / "data").rename(on_files / "elsewhere")
    ended = call("doctor", "-f", "json", cwd=on_files)
    (warning,) = [finding for finding in json.loads(ended.out) if finding["state"] == "warning"]
    assert (ended.code, "train.txt" in warning["what"]) == (0, True)


def test_a_study_that_is_not_stored_ends_in_1(finished, tmp_path):
    """Another study's name is guessed; without any database none of the name can be there."""
    ended = call("doctor", "--study", "tiney", cwd=finished)
    assert (ended.code, "Did you mean tiny?" in ended.out) == (1, True)
    assert call("doctor", "--study", "tiny", cwd=tmp_path).code == 1
    assert call("doctor", cwd=tmp_path).code == 0


def test_the_data_of_all_studies_is_a_mistake(finished):
    """--data says where the data of one study is."""
    ended = call("doctor", "--data", "data", cwd=finished)
    assert (ended.code, ended.out, "--study" in ended.err) == (2, "", True)


def test_no_password_is_shown(tmp_path):
    """A server that does not answer is a problem, told without its password."""
    ended = call("doctor", "--storage", "postgresql://me:hunter2@127.0.0.1:1/studies", cwd=tmp_path)
    assert (ended.code, "me:***@127.0.0.1" in ended.out) == (1, True)
    assert "hunter2" not in ended.out + ended.err
