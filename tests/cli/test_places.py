"""Where studies, data and results are looked for: by name, by path, by option, by environment."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import TINY, call, write_study
from tests.data.examples import SPLIT_FILES, write_split


def status_of(study: str, cwd: Path, *words: str, **env: str) -> dict[str, Any]:
    ended = call("status", "--study", study, "-f", "json", *words, cwd=cwd, env=env)
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


def write_files(directory: Path) -> Path:
    """Split files in which six users met five of twenty items each."""
    random.seed(0)
    met = {user: random.sample(range(1, 21), 5) for user in range(1, 7)}
    lines = [f"{user},{item},1,{item % 2},0,0" for user, items in met.items() for item in items]
    held_out = [f"{user},{met[user % 6 + 1][0]},0,1,0,0" for user in met]
    return write_split(directory, train=lines, valid=held_out, between=[], test=held_out)


@pytest.fixture
def split_study(tmp_path: Path) -> Path:
    """A folder with split files in data/ and the study `files` of one trial on them."""
    write_files(tmp_path / "data")
    write_study(tmp_path / "studies" / "files.yaml", data=SPLIT_FILES, search={"trials": 1})
    return tmp_path


def test_a_study_is_a_path(tmp_path):
    """A study file anywhere runs by its path and is stored under its stem, which its path also stands for."""
    file = write_study(tmp_path / "mine" / "deep.yaml", search={"trials": 1})
    assert call("run", "--study", str(file), "-q", cwd=tmp_path).code == 0
    assert status_of("deep", tmp_path) == status_of(str(file), tmp_path)
    assert status_of("deep", tmp_path)["name"] == "deep"


def test_a_study_here_hides_a_shipped_one(tmp_path):
    """A name means ./studies first: `demo` is the tiny study where that is called so."""
    write_study(tmp_path / "studies" / "demo.yaml", search={"trials": 1})
    assert call("run", "--study", "demo", "-q", cwd=tmp_path).code == 0
    assert status_of("demo", tmp_path)["budget"] == 1


def test_a_space_beside_its_study(tmp_path):
    """A study names its space by a path from its own folder, wherever the program is started."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "narrow.yaml").write_text(
        "model: {embedding_size: 8, num_heads: 1, num_blocks: {choice: [1, 2]}}\n"
    )
    write_study(tmp_path / "mine" / "tiny.yaml", space="narrow.yaml", search={"trials": 1})
    assert call("run", "--study", "mine/tiny.yaml", "-q", cwd=tmp_path).code == 0
    assert list(status_of("tiny", tmp_path)["best"]["params"]) == ["model.num_blocks"]


def test_shipped_studies_run_from_any_folder(tmp_path):
    """The demo runs where there is neither a study nor a space."""
    ended = call("run", "--study", "demo", "--epochs", "1", "--trials", "1", "-q", cwd=tmp_path)
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert status_of("demo", tmp_path)["scored"] == 1


def test_another_model_is_another_study(tmp_path):
    """`--model` takes that model's own shipped space, and the study is stored as <study>-<model>."""
    write_study(tmp_path / "studies" / "tiny.yaml", search={"trials": 1})
    assert call("run", "--study", "tiny", "--model", "blade_released", "-q", cwd=tmp_path).code == 0
    facts = status_of("tiny-blade_released", tmp_path)
    assert (facts["model"], facts["scored"]) == ("blade_released", 1)
    assert "model.early_num_heads" in facts["best"]["params"]
    assert call("status", "--study", "tiny", cwd=tmp_path).code == 2


def test_the_model_of_the_file_changes_nothing(finished_copy):
    """`--model` with the file's own model is the study itself."""
    assert call("run", "--study", "tiny", "--model", "blade", cwd=finished_copy).code == 0
    assert status_of("tiny", finished_copy)["trials"]["complete"] == 3


def test_storage_is_any_database(tmp_path):
    """--storage puts studies elsewhere than results/studies.db; so does BLADE_TUNE_STORAGE, but the option wins."""
    write_study(tmp_path / "tiny.yaml", search={"trials": 1})
    assert (
        call("run", "--study", "tiny.yaml", "--storage", "sqlite:///x.db", "-q", cwd=tmp_path).code
        == 0
    )
    assert (tmp_path / "x.db").is_file()
    assert not (tmp_path / "results" / "studies.db").exists()
    assert status_of("tiny", tmp_path, BLADE_TUNE_STORAGE="sqlite:///x.db")["scored"] == 1
    other = {"BLADE_TUNE_STORAGE": "sqlite:///other.db"}
    assert status_of("tiny", tmp_path, "--storage", "sqlite:///x.db", **other)["scored"] == 1
    assert call("status", "--study", "tiny", cwd=tmp_path, env=other).code == 4


def test_results_is_the_root_of_all_that_is_written(tmp_path):
    """BLADE_TUNE_RESULTS and --results mean the same, and nothing is written beside it."""
    (tmp_path / "here").mkdir()
    file = str(write_study(tmp_path / "tiny.yaml", search={"trials": 1}))
    env = {"BLADE_TUNE_RESULTS": str(tmp_path / "there")}
    assert call("run", "--study", file, "-q", cwd=tmp_path / "here", env=env).code == 0
    assert call("export-best", "--study", "tiny", "-q", cwd=tmp_path / "here", env=env).code == 0
    assert list((tmp_path / "here").iterdir()) == []
    assert (tmp_path / "there" / "studies.db").is_file()
    assert (tmp_path / "there" / "tiny" / "best" / "best.yaml").is_file()
    assert status_of("tiny", tmp_path, "--results", "there")["scored"] == 1


@pytest.mark.parametrize("given", ["data", "data/", "./data/../data", "."])
def test_a_study_remembers_its_data(split_study, tmp_path, given):
    """However --data is spelled, later commands find the files from any folder; `.` holds them in a folder `tiny`."""
    if given == ".":
        (split_study / "data").rename(split_study / "tiny")
    assert call("run", "--study", "files", "--data", given, "-q", cwd=split_study).code == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    results = ("--results", str(split_study / "results"))
    assert status_of("files", elsewhere, *results)["scored"] == 1
    assert call("export-best", "--study", "files", *results, cwd=elsewhere).code == 0
    assert (
        call(
            "run", "--study", str(split_study / "studies/files.yaml"), *results, cwd=elsewhere
        ).code
        == 0
    )


def test_data_may_come_from_the_environment(split_study):
    """BLADE_TUNE_DATA stands for --data."""
    env = {"BLADE_TUNE_DATA": str(split_study / "data")}
    assert call("run", "--study", "files", "-q", cwd=split_study, env=env).code == 0
    assert call("data", "stats", "--study", "files", cwd=split_study).code == 0


def test_other_data_is_another_study(split_study):
    """A study on changed files is refused by `run`, with the data named, and by `export-best`."""
    assert call("run", "--study", "files", "--data", "data", "-q", cwd=split_study).code == 0
    train = split_study / "data" / "train.txt"
    train.write_text(train.read_text() + "1,20,1,1,1,1\n")
    ended = call("run", "--study", "files", "--trials", "2", cwd=split_study)
    assert (ended.code, "  data: stored " in ended.err) == (3, True)
    assert call("export-best", "--study", "files", cwd=split_study).code == 3
    assert status_of("files", split_study)["scored"] == 1


def test_flags_win_over_the_file(tmp_path):
    """--trials, --epochs, --sampler and --pruner stand in the stored study in place of the file's."""
    write_study(tmp_path / "tiny.yaml")
    flags = [
        "--trials",
        "1",
        "--epochs",
        "1",
        "--sampler",
        "random",
        "--pruner",
        "none",
        "--seed",
        "5",
    ]
    assert call("run", "--study", "tiny.yaml", *flags, "-q", cwd=tmp_path).code == 0
    stored = (tmp_path / "results" / "tiny" / "study.yaml").read_text()
    for line in ("trials: 1", "max_epochs: 1", "sampler: random", "kind: none", "seed: 5"):
        assert f" {line}\n" in stored
    assert TINY["train"]["max_epochs"] == 2
