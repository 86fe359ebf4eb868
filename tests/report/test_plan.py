"""What --dry-run prints: every value with what said so."""

from pathlib import Path
from typing import Any

import pytest

from blade_tune.config import write_yaml
from blade_tune.fleet.devices import Machine, assign
from blade_tune.fleet.precedence import BUILT_IN, resolve
from blade_tune.fleet.settings import RunSettings
from blade_tune.report.plan import definition_rows, run_rows, settle_budget, stored_rows
from blade_tune.spec import recipes
from blade_tune.spec.catalog import StudySource
from blade_tune.spec.definition import StudyDefinition
from blade_tune.spec.recipes import SHARED
from blade_tune.study.create import TrialBudget, open_study
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace
from tests.tiny import content, define, tiny_data

FILE = Path("studies/tiny.yaml")
SPACE = {
    "model": {"num_heads": {"choice": [1, 2]}, "embedding_size": 8},
    "train": {"batch_size": 16},
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the tiny study and its space, and nobody's own settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nothing"))
    for path, data in ((FILE, content(space="narrow")), (Path("search_spaces/narrow.yaml"), SPACE)):
        path.parent.mkdir()
        path.write_text(write_yaml(data))


@pytest.fixture
def stored() -> StoredStudy:
    """The tiny study as a run of nothing leaves it."""
    results = Path("results")
    place = Workspace.at(None, results)
    return open_study(
        define(space="narrow"), tiny_data(results), place, TrialBudget(5), directory=Path("data")
    )


def table(rows: list[dict[str, Any]]) -> dict[str, tuple[Any, str]]:
    assert len({row["setting"] for row in rows}) == len(rows)
    return {row["setting"]: (row["value"], row["origin"]) for row in rows}


def definition_table(**flags: Any) -> dict[str, tuple[Any, str]]:
    search = {name: flags[name] for name in ("seed", "sampler") if name in flags}
    asked = {
        "model": flags.get("model"),
        "recipe": flags.get("recipe"),
        "max_epochs": flags.get("epochs"),
    }
    definition = StudyDefinition.load("tiny", **asked, search=search)
    return table(definition_rows(definition, StudySource.read("tiny"), flags))


def run_table(
    stored: StoredStudy | None = None, add: int = 0, **flags: Any
) -> dict[str, tuple[Any, str]]:
    resolved = resolve(flags, StudySource.read("tiny"))
    places = assign(resolved.settings, Machine(("0", "1"), 8))
    budget = settle_budget(resolved, define(), TrialBudget(flags.get("trials"), add), stored)
    return table(run_rows(resolved, places, budget, stored))


def test_every_run_setting_is_a_row():
    """In their order, with the value that a run takes and what said so."""
    rows = run_table(keep=2, device="cpu")
    workers = [f"worker {number}" for number in range(8)]
    assert list(rows) == [*RunSettings.model_fields, *workers]
    assert rows["keep"] == (2, "--keep")
    assert rows["grace_s"] == (120, BUILT_IN)
    assert rows["trials"] == (3, "studies/tiny.yaml")
    assert rows["worker 0"] == ("12% of cpu, 1 CPU thread", "this machine")


def test_what_is_left_open_is_settled():
    """The number of workers, the database and each worker's place stand where nobody gave them."""
    rows = run_table(per_gpu=2)
    assert rows["workers"] == (4, BUILT_IN)
    assert rows["storage"] == ("sqlite:///results/studies.db", BUILT_IN)
    assert rows["worker 3"] == ("50% of cuda 1, 2 CPU threads", "this machine")


def test_trials_are_those_that_a_run_would_go_for(stored):
    """The study file's, the flag's, what an earlier run settled, or so many more."""
    assert run_table()["trials"] == (3, "studies/tiny.yaml")
    assert run_table(trials=4)["trials"] == (4, "--trials")
    assert run_table(add=2)["trials"] == (5, "--add")
    assert run_table(stored)["trials"] == (5, "stored study")
    assert run_table(stored, add=2)["trials"] == (7, "--add")
    assert run_table(stored, trials=9)["trials"] == (9, "--trials")


def test_a_password_is_not_shown():
    """The database's URL is printed without it."""
    value, origin = run_table(storage="postgresql://me:secret@host/studies")["storage"]
    assert (value, origin) == ("postgresql+psycopg://me:***@host/studies", "--storage")


def test_a_stored_study_remembers_its_data(stored, tmp_path):
    """Where nobody says where the data is, it is where the study's last run found it."""
    assert run_table()["data"] == (None, BUILT_IN)
    assert run_table(stored)["data"] == (str(tmp_path / "data"), "stored study")
    assert run_table(stored, data="other")["data"] == ("other", "--data")


def test_every_value_of_a_definition_has_its_origin():
    """The study file, the space's file or nobody; each setting of model and training is a row, searched or not."""
    rows = definition_table()
    file, space = str(FILE), "search_spaces/narrow.yaml"
    assert rows["model"] == ("blade", file)
    assert rows["data.num_users"] == (30, file)
    assert rows["data.long_tail"] == ([], BUILT_IN)
    assert rows["objective.metric"] == ("ndcg@10", BUILT_IN)
    assert rows["search.pruner.kind"] == ("none", file)
    assert rows["search.seed"] == (2026, BUILT_IN)
    assert rows["enqueue"] == (0, BUILT_IN)
    assert rows["space"] == (space, file)
    assert rows["space points"] == (2, space)
    assert rows["model.num_heads"] == ("free: {1, 2}", space)
    assert rows["model.embedding_size"] == ("8", space)
    assert rows["model.num_blocks"][1] == BUILT_IN
    assert rows["train.max_epochs"] == ("2", file)
    assert rows["train.batch_size"] == ("16", space)
    assert "search.trials" not in rows


def test_flags_of_a_definition_are_origins():
    """What a flag says is shown as the flag's, also where the file says something else."""
    rows = definition_table(epochs=7, seed=5, sampler="random")
    assert rows["train.max_epochs"] == ("7", "--epochs")
    assert rows["search.seed"] == (5, "--seed")
    assert rows["search.sampler"] == ("random", "--sampler")
    assert rows["search.pruner.kind"] == ("none", str(FILE))


def test_another_model_brings_its_own_space():
    """--model says model, space and that nothing is enqueued."""
    rows = definition_table(model="blade_released")
    assert rows["model"] == ("blade_released", "--model")
    assert rows["space"][0].endswith("search_spaces/blade_released.yaml")
    assert rows["space"][1] == rows["enqueue"][1] == "--model"


def test_what_a_recipe_says_is_the_recipe_s():
    """--recipe says the recipe and what is enqueued; a value that it filled in has it for origin, and no other."""
    assert definition_table()["recipe"] == ("published", str(FILE))
    rows = definition_table(recipe="shared")
    assert rows["recipe"] == ("shared", "--recipe")
    assert rows["enqueue"] == (1, "--recipe")
    filled = {name: row[0] for name, row in rows.items() if row[1] == "recipe shared"}
    own = {"model.embedding_size", "train.batch_size"}  # of the space's file
    whole = recipes.values("shared")
    assert filled.keys() <= whole.keys()
    assert filled == {name: str(whole[name]) for name in filled}
    assert {name for name in SHARED if name not in own} <= filled.keys()
    assert rows["model.embedding_size"] == ("8", "search_spaces/narrow.yaml")
    FILE.write_text(
        write_yaml(
            {name: value for name, value in content(space="narrow").items() if name != "recipe"}
        )
    )
    assert definition_table()["recipe"] == ("shared", BUILT_IN)
    assert "recipe shared" not in {
        origin for _, origin in definition_table(recipe="published").values()
    }


def test_a_space_in_the_study_file():
    """Its parameters come from the study file; a range without steps has no number of points."""
    FILE.write_text(write_yaml(content()))
    rows = definition_table()
    assert rows["space"] == ("studies/tiny.yaml: space", str(FILE))
    assert rows["model.num_heads"] == ("free: {1, 2}", "studies/tiny.yaml: space")
    assert rows["space points"][0] == "continuous"


def test_a_study_that_is_not_stored():
    """It says so."""
    assert stored_rows(define(), None) == [
        {"setting": "stored", "value": "not yet", "origin": "stored study"}
    ]


def test_a_stored_study_says_how_far_it_is(stored):
    """Scored trials of the budget; more trials and another pruner are no difference."""
    asked = define(space="narrow", search__trials=9, search__pruner__kind="median")
    assert table(stored_rows(asked, stored)) == {
        "stored": ("0 of 5 trials are scored", "stored study")
    }


def test_each_difference_is_a_row(stored):
    """What a run would refuse to mix is shown with both values."""
    asked = define(space="narrow", search__seed=1, train__max_epochs=4)
    rows = table(stored_rows(asked, stored))
    assert [name for name in rows if name != "stored"] == [
        "differs: seed",
        "differs: space.train.max_epochs",
    ]
    assert rows["differs: seed"][0] == "stored 2026, now 1"
