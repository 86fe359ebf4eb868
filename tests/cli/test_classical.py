"""Models that are fitted, not trained: every command takes their studies as it takes any other's."""

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from blade_tune.models import MODELS
from blade_tune.models.build import model_class
from blade_tune.models.combination import Combination
from blade_tune.models.fitted import FittedRecommender
from blade_tune.models.settings import classical
from blade_tune.study.workspace import Workspace
from tests.cli.program import call, do, write_study

CLASSICAL = [
    name
    for name in MODELS
    if issubclass(model_class(name), FittedRecommender)
    and not issubclass(model_class(name), Combination)
]
TRIALS = 6
BEHAVIORS = ("click", "like", "share", "follow")


def refused(folder: Path, words: str) -> str:
    """The one line of a command that is refused with code 2."""
    ended = call(*words.split(), cwd=folder)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended
    assert ended.err.startswith("Error: ")
    return ended.err


def trials(folder: Path, study: str) -> list[dict[str, Any]]:
    """A row a trial."""
    rows = json.loads(do(folder, f"trials -s {study} -f json").out)
    assert isinstance(rows, list)
    return rows


def stored_names(folder: Path) -> list[str]:
    """The studies in the folder's database."""
    results = folder / "results"
    known = Workspace.at(None, results).study("tiny-item_knn")
    return [study.study_name for study in known.storage.get_all_studies()]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with six trials of item_knn on the tiny study; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("fitted")
    write_study(folder / "studies" / "tiny.yaml")
    assert do(folder, f"run --study tiny --model item_knn --trials {TRIALS} -q").err == ""
    return folder


@pytest.fixture
def fitted_copy(fitted: Path, tmp_path: Path) -> Path:
    """The same for a test that changes it."""
    return shutil.copytree(fitted, tmp_path / "copy")


@pytest.fixture(scope="module")
def confirmed(fitted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy whose top three are confirmed and tested; what that printed is in confirm.txt."""
    folder = shutil.copytree(fitted, tmp_path_factory.mktemp("confirmed") / "copy")
    (folder / "confirm.txt").write_text(
        do(folder, "confirm -s tiny-item_knn --top 3 --seeds 4 --test -q").out
    )
    return folder


# --- a search ---


def test_a_trial_is_one_fit(fitted: Path):
    """Each of the trials is complete after its one epoch, whose figure is its value."""
    rows = trials(fitted, "tiny-item_knn")
    assert [(row["state"], row["epochs"], row["best_epoch"]) for row in rows] == [
        ("complete", 1, 1)
    ] * TRIALS
    for row in rows:
        facts = json.loads(do(fitted, f"show {row['number']} -s tiny-item_knn -f json").out)
        assert facts["curve"] == {"1": row["value"]}


def test_the_first_trial_is_the_models_defaults(fitted: Path):
    """It reaches what the untuned baseline does, for it is the same model under the same protocol."""
    first, *others = trials(fitted, "tiny-item_knn")
    config = model_class("item_knn").Config().model_dump()
    tried = {
        name.removeprefix("model."): value
        for name, value in first.items()
        if name.startswith("model.")
    }
    assert tried == {name: config[name] for name in tried}
    assert (first["tag"], {row["tag"] for row in others}) == ("default", {None})
    status = json.loads(do(fitted, "status -s tiny-item_knn -f json").out)
    assert first["value"] == status["baselines"]["item_knn"]


def test_status_counts_fits(fitted: Path):
    """A fitted study has budget, best trial and baselines as any other, and no setting of a training."""
    status = json.loads(do(fitted, "status -s tiny-item_knn -f json").out)
    assert (status["name"], status["model"]) == ("tiny-item_knn", "item_knn")
    assert (status["budget"], status["scored"], status["trials"]["complete"]) == (TRIALS,) * 3
    assert status["best"]["value"] == max(row["value"] for row in trials(fitted, "tiny-item_knn"))
    assert all(name.startswith("model.") for name in status["best"]["params"])
    assert set(status["baselines"]) == {"popularity", "popularity_told", "item_knn"}


def test_a_report_of_fits_is_whole(fitted_copy: Path):
    """The page names the model and its best trial, and stderr says how it stands, in one line."""
    best = json.loads(do(fitted_copy, "status -s tiny-item_knn -f json").out)["best"]
    ended = do(fitted_copy, "report -s tiny-item_knn")
    assert ended.err.startswith(f"Trial {best['number']} is the best of ")
    assert ended.err.count("\n") == 1
    folder = fitted_copy / "results" / "tiny-item_knn" / "report"
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert f"<dd>{best['value']:.4f}</dd>" in html
    assert "model.shrinkage" in (folder / "tables.md").read_text(encoding="utf-8")


def test_a_second_run_adds_nothing_and_add_two(fitted_copy: Path):
    """--trials is the total, --add is beyond it; rows that were there stay as they were."""
    before = trials(fitted_copy, "tiny-item_knn")
    again = do(fitted_copy, f"run --study tiny --model item_knn --trials {TRIALS}")
    assert f"\nstudy=tiny-item_knn ended: {TRIALS} of {TRIALS} trials are scored\n" in again.err
    assert trials(fitted_copy, "tiny-item_knn") == before
    do(fitted_copy, "run --study tiny --model item_knn --add 2 -q")
    after = trials(fitted_copy, "tiny-item_knn")
    assert after[:TRIALS] == before
    assert [row["state"] for row in after[TRIALS:]] == ["complete"] * 2


# --- a trial made again ---


def test_a_fit_is_reproduced_to_the_bit(fitted: Path):
    """Fitted again, each trial gives the very figures that it stored."""
    for number in range(TRIALS):
        again = do(fitted, f"reproduce {number} -s tiny-item_knn -f json")
        assert json.loads(again.out) == {
            "trial": number,
            "epochs": 1,
            "largest_difference": 0.0,
            "changed": [],
            "written": [],
        }


def test_a_figure_that_was_changed_is_found(fitted_copy: Path):
    """A stored curve that is not as the trial left it is named, and the trial compared with what the database has."""
    path = fitted_copy / "results" / "tiny-item_knn" / "trials" / "1" / "metrics.jsonl"
    path.write_text(path.read_text().replace('"hr@5": ', '"hr@5": 1'))
    other = call("reproduce", "1", "-s", "tiny-item_knn", cwd=fitted_copy)
    assert (other.code, "metrics.jsonl: is not as the trial left it" in other.err) == (0, True)


# --- a choice ---


def test_candidates_are_fitted_once_and_told_apart_over_users(confirmed: Path):
    """However many seeds are asked for, each candidate has one run, and the intervals are over users."""
    runs = trials(confirmed, "tiny-item_knn.runs")
    assert [row["state"] for row in runs] == ["complete"] * 3
    said = json.loads(do(confirmed, "confirm -s tiny-item_knn --top 3 --seeds 4 -q -f json").out)
    assert said["over"] == "users"
    assert len(trials(confirmed, "tiny-item_knn.runs")) == 3
    values = {row["number"]: row["value"] for row in trials(confirmed, "tiny-item_knn")}
    for candidate in said["candidates"]:
        assert candidate["mean"] == pytest.approx(values[candidate["trial"]], abs=1e-6)
        assert candidate["inflation"] == pytest.approx(0.0, abs=1e-6)
        assert candidate["low"] < candidate["mean"] < candidate["high"]


def test_a_confirmation_of_fits_says_what_it_is_over(confirmed: Path):
    """Its sentences name users, not seeds, and that another seed changes nothing."""
    text = (confirmed / "confirm.txt").read_text()
    assert "over 40 users, where the search saw" in text
    assert (
        "Another seed changes nothing in this model: candidates are fitted once, intervals are over users."
        in text
    )
    assert "fresh seed" not in text


def test_the_winner_is_tested_once(confirmed: Path):
    """--test opens the test rows for its one run, which is the ledger's one line; asked again, nothing is opened."""
    do(confirmed, "confirm -s tiny-item_knn --top 3 --seeds 4 --test -q")
    (line,) = json.loads(do(confirmed, "ledger -s tiny-item_knn -f json").out)
    assert (line["line"], line["command"]) == (1, "confirm --test")
    assert "test.ndcg@10.mean" in (confirmed / "confirm.txt").read_text()


def test_nothing_can_be_taken_out_of_a_fit(confirmed: Path):
    """`ablate` says so, and runs nothing."""
    said = refused(confirmed, "ablate -s tiny-item_knn")
    assert said == "Error: model item_knn names no part that can be taken out.\n"
    assert len(trials(confirmed, "tiny-item_knn.runs")) == 3


def test_a_sweep_fits_each_value_once(confirmed: Path, tmp_path: Path):
    """However many seeds are asked for: equal figures of equal fits are no deviation of zero."""
    folder = shutil.copytree(confirmed, tmp_path / "copy")
    swept = do(
        folder, "sweep -s tiny-item_knn --param model.shrinkage --values 2,200 --seeds 3 -q -f csv"
    )
    rows = list(csv.DictReader(io.StringIO(swept.out)))
    assert [row["configuration"] for row in rows][1:] == [
        "model.shrinkage=2.0",
        "model.shrinkage=200.0",
    ]
    assert [row["sd"] for row in rows] == [""] * 3
    assert len(trials(folder, "tiny-item_knn.runs")) == 5


# --- a final model ---


@pytest.fixture(scope="module")
def bundle(confirmed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the winner's bundle, best, what `export-best` printed, facts.json, and histories, users.csv."""
    folder = tmp_path_factory.mktemp("bundle")
    words = f"export-best -s tiny-item_knn --out {folder / 'best'} -f json -q"
    (folder / "facts.json").write_text(do(confirmed, words).out)
    write_histories(folder)
    return folder


def write_histories(folder: Path) -> None:
    """users.csv: two users that the model knows, as its data is read."""
    rows = [("1", "3", "click"), ("1", "9", "like"), ("2", "9", "share"), ("2", "5", "click")]
    lines = [
        ",".join((user, item, str(time), *(str(int(name == did)) for name in BEHAVIORS)))
        for time, (user, item, did) in enumerate(rows)
    ]
    (folder / "users.csv").write_text(
        "\n".join([f"user,item,time,{','.join(BEHAVIORS)}", *lines]) + "\n"
    )


def recommended(folder: Path) -> dict[str, list[str]]:
    """Items by user, as `recommend` prints them for a bundle called best."""
    printed = do(folder, "recommend --bundle best --users users.csv -k 5 -q").out
    found: dict[str, list[str]] = {}
    for row in csv.DictReader(io.StringIO(printed)):
        found.setdefault(row["user"], []).append(row["item"])
    return found


def test_the_confirmed_fit_is_exported(confirmed: Path, bundle: Path):
    """Its figures are those of its run, and the model card knows no epoch and no other seed."""
    facts = json.loads((bundle / "facts.json").read_text())
    said = json.loads(do(confirmed, "confirm -s tiny-item_knn --top 3 --seeds 4 -q -f json").out)
    winner = said["candidates"][0]
    assert (facts["rule"], facts["trial"]) == ("confirmed", winner["trial"])
    assert facts["valid"]["ndcg@10"] == winner["search"]
    card = (bundle / "best" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# item_knn on tiny\n")
    assert "- epochs: none, it is fitted at once\n" in card
    assert "another seed gives the same model" in card


def test_a_fitted_bundle_recommends(bundle: Path):
    """Five items a user, none of which is in the history."""
    found = recommended(bundle)
    assert {user: len(set(items)) for user, items in found.items()} == {"1": 5, "2": 5}
    assert not {"3", "9"} & set(found["1"])
    assert not {"9", "5"} & set(found["2"])


def test_a_fitted_bundle_needs_no_optuna(bundle: Path):
    """In Python it recommends what the command does, without what studies need."""
    script = """
import json, sys
from blade_tune.export.recommender import Recommender
histories = {"1": [("3", ["click"]), ("9", ["like"])], "2": [("9", ["share"]), ("5", ["click"])]}
found = Recommender.load("best").recommend(histories, k=5)
unwanted = {"optuna", "sqlalchemy", "click", "pandas", "plotly"} & set(sys.modules)
print(json.dumps([sorted(unwanted), {user: [item for item, _ in items] for user, items in found.items()}]))
"""
    words = [sys.executable, "-c", script]
    ended = subprocess.run(
        words, cwd=bundle, capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(ended.stdout) == [[], recommended(bundle)]


@pytest.mark.parametrize("name", CLASSICAL)
def test_every_classical_model_goes_from_search_to_recommendations(tmp_path: Path, name: str):
    """Two trials, a bundle that scores as the better of them, and five new items for each user."""
    write_study(tmp_path / "studies" / "tiny.yaml")
    do(tmp_path, f"run --study tiny --model {name} --trials 2 -q")
    rows = trials(tmp_path, f"tiny-{name}")
    assert [row["state"] for row in rows] == ["complete"] * 2
    assert rows[0]["tag"] == "default"
    exported = json.loads(
        do(tmp_path, f"export-best -s tiny-{name} --rule best --out best -f json -q").out
    )
    assert exported["valid"]["ndcg@10"] == max(row["value"] for row in rows)
    write_histories(tmp_path)
    assert {user: len(set(items)) for user, items in recommended(tmp_path).items()} == {
        "1": 5,
        "2": 5,
    }


# --- what is refused ---


def test_a_fit_has_no_epochs(fitted: Path):
    """--epochs is refused in one line that says why."""
    said = refused(fitted, "run --study tiny --model item_knn --epochs 3")
    assert said == "Error: --epochs: item_knn is fitted at once and has no epochs.\n"


SHRINKAGE = {"shrinkage": {"choice": [1.0, 10.0]}}
TRAINED: dict[str, tuple[dict[str, Any], str]] = {
    "fixed by the study": (
        {"space": {"model": SHRINKAGE}, "train": {"max_epochs": 3}},
        "studies/tiny.yaml: train: item_knn is fitted at once and has no training settings.",
    ),
    "fixed by its space": (
        {"space": {"model": SHRINKAGE, "train": {"batch_size": 32}}, "train": {}},
        "unknown train key batch_size",
    ),
    "searched by its space": (
        {
            "space": {"model": SHRINKAGE, "train": {"learning_rate": {"float": [0.1, 0.2]}}},
            "train": {},
        },
        "unknown train key learning_rate",
    ),
}


@pytest.mark.parametrize(("sections", "said"), TRAINED.values(), ids=TRAINED)
def test_a_fit_has_no_settings_of_training(tmp_path: Path, sections: dict[str, Any], said: str):
    """A study file of a fitted model that has some is refused, and nothing is made."""
    write_study(tmp_path / "studies" / "tiny.yaml", model="item_knn", **sections)
    assert said in refused(tmp_path, "run --study tiny")
    assert not (tmp_path / "results").exists()


def test_data_that_is_too_large_for_a_model_is_refused(
    fitted_copy: Path, monkeypatch: pytest.MonkeyPatch
):
    """One line has the size, the limit and the models that fit it; no study is stored."""
    monkeypatch.setattr(classical, "LARGEST", 5)
    said = refused(fitted_copy, "run --study tiny --model ease --trials 2")
    assert "study tiny-ease: ease inverts a square matrix of 40 rows" in said
    assert "can do 5; item_knn, sequential_rules, pure_svd and ials fit data of this size." in said
    assert stored_names(fitted_copy) == ["tiny-item_knn"]
    assert not (fitted_copy / "results" / "tiny-ease").exists()


# --- a comparison ---


@pytest.mark.slow
def test_fits_are_compared_under_equal_budgets(fitted_copy: Path):
    """Each has as many trials, none has epochs or a loss, and a deviation stands only where a seed changes anything."""
    words = "compare --study tiny --models item_knn,popularity,ials --trials 2 --top 1 --seeds 2 -q -f markdown"
    ended = do(fitted_copy, words)
    header, _, *lines = [
        line.strip("|").split("|") for line in ended.out.splitlines() if line.startswith("|")
    ]
    columns = [name.strip() for name in header]
    rows = [dict(zip(columns, (cell.strip() for cell in line), strict=True)) for line in lines]
    of_model = {
        row["model"].split()[0]: row for row in rows if not row["model"].endswith(", untuned")
    }
    assert set(of_model) == {"item_knn", "popularity", "ials"}
    assert {(row["trials"], row["epochs"], row["loss"]) for row in of_model.values()} == {
        ("2", "", "")
    }
    assert {name: "±" in row["NDCG@10"] for name, row in of_model.items()} == {
        "item_knn": False,
        "popularity": False,
        "ials": True,
    }
    assert (
        "a model without epochs is fitted at once; one without sd is the same on every seed"
        in ended.out
    )
    assert "budgets are not equal" not in ended.out
