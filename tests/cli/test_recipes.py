"""`--recipe`: how neural models start and are trained, and that another one is another study."""

import json
from pathlib import Path
from typing import Any

import pytest

from blade_tune.config import read_yaml, write_yaml
from blade_tune.spec.recipes import SHARED
from tests.cli.program import TINY, call

SHARED_FILE = {name: value for name, value in TINY.items() if name != "recipe"}
# By TINY's space
LEFT_OPEN = SHARED.keys() - {"model.embedding_size", "train.batch_size", "train.learning_rate"}
QUICK = ["--trials", "1", "--epochs", "1", "-q"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a study file that names no recipe was run under each."""
    folder = tmp_path_factory.mktemp("recipes")
    path = folder / "studies" / "tiny.yaml"
    path.parent.mkdir()
    path.write_text(write_yaml(SHARED_FILE), encoding="utf-8")
    for words in ([], ["--recipe", "published"], ["--model", "sasrec", "--recipe", "published"]):
        assert call("run", "--study", "tiny", *words, *QUICK, cwd=folder).code == 0
    return folder


def written(folder: Path, study: str) -> dict[str, Any]:
    return read_yaml(folder / "results" / study / "study.yaml")


def test_a_study_is_shared_unless_it_says(ran: Path):
    """The stored study says so, has the recipe's values written out, and began with its defaults."""
    study = written(ran, "tiny")
    assert study["recipe"] == "shared"
    for name in LEFT_OPEN:
        group, _, field = name.partition(".")
        assert study["space"][group][field] == SHARED[name]
    assert [entry["tag"] for entry in study["enqueue"]] == ["default"]
    config = read_yaml(ran / "results" / "tiny" / "trials" / "0" / "config.yaml")
    assert config["model"]["item_init"] == SHARED["model.item_init"]


def test_run_takes_another_recipe(ran: Path):
    """`run --recipe published` stores STUDY-published, in which nothing is fixed that the file does not say."""
    study = written(ran, "tiny-published")
    assert study["recipe"] == "published"
    assert study["space"]["model"].keys() == TINY["space"]["model"].keys()
    assert study["enqueue"] == []
    assert (study["data"], study["objective"]) == (
        written(ran, "tiny")["data"],
        written(ran, "tiny")["objective"],
    )


def test_run_takes_another_model_and_recipe(ran: Path):
    """STUDY-MODEL-RECIPE has the space of the model as it was published."""
    model = written(ran, "tiny-sasrec-published")["space"]["model"]
    assert "norm" in model
    assert not {"loss", "item_init"} & model.keys()


def test_the_same_command_goes_on(ran: Path):
    """A run of what is stored is the same study, and its budget is met."""
    for words in ([], ["--recipe", "published"]):
        assert call("run", "--study", "tiny", *words, *QUICK, cwd=ran).code == 0
    listed = json.loads(call("trials", "--study", "tiny-published", "-f", "json", cwd=ran).out)
    assert len(listed) == 1


def test_a_dry_run_says_whose_each_value_is(ran: Path):
    """The recipe is a row with its origin, and so is each value that it fills in."""
    printed = call("run", "--study", "tiny", "--recipe", "published", "--dry-run", cwd=ran).out
    assert "--recipe" in printed
    assert "recipe shared" not in printed
    assert "recipe shared" in call("run", "--study", "tiny", "--dry-run", cwd=ran).out


@pytest.mark.parametrize(
    "words",
    [
        "run --study tiny --recipe sharde",
        "compare --study tiny --models blade,sasrec --recipe sharde",
        "space show sasrec --recipe sharde",
        "space check sasrec --recipe sharde",
    ],
)
def test_a_misspelled_recipe_is_a_mistake_of_usage(ran: Path, words: str):
    """The exit code is 2, and the message has both names."""
    ended = call(*words.split(), cwd=ran)
    assert (ended.code, ended.out) == (2, "")
    assert "'shared', 'published'" in ended.err


def test_a_misspelled_recipe_in_a_file_is_told(ran: Path):
    """With the file and the key."""
    (ran / "studies" / "wrong.yaml").write_text(
        write_yaml({**SHARED_FILE, "recipe": "sharde"}), encoding="utf-8"
    )
    for words in (
        ["run", "--study"],
        ["compare", "--models", "blade,sasrec", "--loss", "ce", "--study"],
    ):
        ended = call(*words, "wrong", cwd=ran)
        assert (ended.code, ended.out) == (2, "")
        assert "wrong.yaml" in ended.err
        assert "recipe must be 'shared' or 'published', got 'sharde'" in ended.err


def test_compare_takes_a_recipe_for_all(ran: Path):
    """Searches of another recipe than the file's have its name, so that both can stand side by side."""
    small = {
        "model": {"embedding_size": 8, "max_length": 6, "num_heads": {"choice": [1, 2]}},
        "include": "shared",
    }
    for name in ("blade-extended", "sasrec"):
        path = ran / "search_spaces" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(write_yaml(small), encoding="utf-8")
    words = [
        "compare",
        "--study",
        "tiny",
        "--models",
        "blade,sasrec",
        "--epochs",
        "1",
        "--top",
        "1",
        "--seeds",
        "2",
    ]
    words += ["--trials", "1", "-q", "-f", "json"]
    try:
        published, shared = (
            json.loads(call(*words, *recipe, cwd=ran).out)
            for recipe in (["--recipe", "published"], [])
        )
    finally:
        for path in (ran / "search_spaces").iterdir():
            path.unlink()
    for rows, loss, name in (
        (published, "bce", "published-sasrec"),
        (shared, SHARED["model.loss"], "sasrec"),
    ):
        assert {
            row["model"]: row["loss"] for row in rows if row["model"] in ("blade", "sasrec")
        } == {
            "blade": loss,
            "sasrec": loss,
        }
        assert written(ran, f"tiny.compare-{name}")["enqueue"][0]["tag"] == "default"
    assert (ran / "results" / "tiny.compare-published").is_dir()
    assert (ran / "results" / "tiny.compare").is_dir()
