"""What a winner is worth: whatever shows one says in the same words whether it lies above an untuned item_knn.

On the data of a made-up shop a model that cannot learn is not above it, and one that knows the order of things is.
"""

import csv
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import optuna_dashboard
import pytest

from blade_tune.config import write_yaml
from blade_tune.study.stored import StoredStudy
from blade_tune.study.workspace import Workspace
from tests.cli.program import do
from tests.cli.test_streams import ESCAPE, run_in_terminal

# Studies; the first's steps are so small that it learns nothing
LOW, HIGH = "shop", "shop-sequential_rules"
WORDS = {LOW: "not above item_knn: ", HIGH: "above item_knn: "}
NEURAL: dict[str, Any] = {
    "model": {
        "max_length": 8,
        "embedding_size": 8,
        "num_blocks": 1,
        "num_heads": 1,
        "num_experts": 2,
        "alpha": {"choice": [0.0, 0.5]},
        "item_init": "random",
        "block_init": "random",
    },
    "train": {"learning_rate": 1e-6},
}
SPACES: dict[str, dict[str, Any]] = {
    "blade-any": NEURAL,  # of the study
    "blade-extended": NEURAL,  # of the comparison
    "sequential_rules": {
        "model": {
            "max_length": 8,
            "half_life": 1.0,
            "shrinkage": 1.0,
            "neighbors": {"choice": [20, 50]},
        }
    },
    "item_knn": {"model": {"max_length": 8, "shrinkage": {"choice": [20.0, 50.0]}}},
}
LOG = "--source shop.csv --user user_id --item item_id --time ts --type event --behaviors view,cart,buy"
VERDICT = re.compile(r"(?:not )?above item_knn: \S+ \(\S+ to \S+\)")


def load(folder: Path, study: str) -> StoredStudy:
    results = folder / "results"
    return Workspace.at(None, results).study(study)


def verdicts(text: str) -> set[str]:
    """Every verdict in a text, with its figures; at the begin of a sentence it has a capital."""
    return set(VERDICT.findall(text.replace("Not above", "not above").replace("Above", "above")))


def verdict(folder: Path, study: str) -> dict[str, Any]:
    """The verdict on the best trial of a search."""
    facts = json.loads(do(folder, f"status -s {study} -f json").out)["verdict"]
    assert isinstance(facts, dict)
    return facts


def row_of_note(folder: Path, study: str, name: str) -> str:
    """What the dashboard's note says of one thing."""
    (line,) = (
        line
        for line in optuna_dashboard.get_note(load(folder, study).study).splitlines()
        if f"| {name} |" in line
    )
    return line


def page(folder: Path, study: str) -> str:
    """The report, written anew."""
    do(folder, f"report -s {study}")
    return (folder / "results" / study / "report" / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the shop's data and both searches, of a trial each; what the runs said is in run.STUDY.txt."""
    folder = tmp_path_factory.mktemp("shop")
    do(folder, "data synth --users 400 --items 100 --events shop.csv")
    do(folder, f"data prepare event-log {LOG} --auxiliary view")
    (folder / "search_spaces").mkdir()
    for name, space in SPACES.items():
        (folder / "search_spaces" / f"{name}.yaml").write_text(write_yaml(space))
    for study, words in ((LOW, "--epochs 1"), (HIGH, "--model sequential_rules")):
        (folder / f"run.{study}.txt").write_text(do(folder, f"run -s shop --trials 1 {words}").err)
    return folder


@pytest.fixture(scope="module")
def confirmed(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy whose winners are confirmed; what that printed is in confirm.STUDY.txt."""
    folder = shutil.copytree(shop, tmp_path_factory.mktemp("confirmed") / "copy")
    for study in WORDS:
        (folder / f"confirm.{study}.txt").write_text(
            do(folder, f"confirm -s {study} --top 1 --seeds 2 -q").out
        )
    return folder


@pytest.fixture(scope="module")
def exported(confirmed: Path) -> Path:
    """The same folder with the bundles; what `export-best` printed is in export.STUDY.txt."""
    for study in WORDS:
        (confirmed / f"export.{study}.txt").write_text(
            do(confirmed, f"export-best -s {study} -q").out
        )
    return confirmed


# --- after a search ---


@pytest.mark.parametrize("study", WORDS)
def test_a_verdict_is_a_paired_difference_of_means(shop: Path, study: str):
    """`status -f json` has the winner's mean minus item_knn's with its interval, which says what is above."""
    facts = json.loads(do(shop, f"status -s {study} -f json").out)
    found = facts["verdict"]
    assert list(found) == ["baseline", "difference", "low", "high", "is_above", "words"]
    assert found["difference"] == pytest.approx(
        facts["best"]["value"] - facts["baselines"]["item_knn"]
    )
    assert found["low"] < found["difference"] < found["high"]
    assert (found["is_above"], found["low"] > 0) == ((study == HIGH),) * 2
    assert found["words"].startswith(WORDS[study])


@pytest.mark.parametrize("study", WORDS)
def test_a_table_of_status_has_the_verdict(shop: Path, study: str):
    """It has the very words of the JSON."""
    assert verdicts(do(shop, f"status -s {study}").out) == {verdict(shop, study)["words"]}


@pytest.mark.parametrize("study", WORDS)
def test_a_run_ends_with_the_verdict(shop: Path, study: str):
    """Before its last two lines one names the best trial and what that is worth; a warning may stand behind it."""
    lines = (shop / f"run.{study}.txt").read_text().splitlines()
    *_, best, end, following = (line for line in lines if not line.startswith("WARNING "))
    assert best == f"best_trial=0 {verdict(shop, study)['words']}"
    assert end == f"study={study} ended: 1 of 1 trials are scored"
    assert following.startswith(f"Next: blade-tune confirm --study {study} ")


@pytest.mark.parametrize("study", WORDS)
def test_watching_shows_the_verdict(shop: Path, study: str):
    """The line of a finished study ends with it."""
    headline, *_ = do(shop, f"status -s {study} --watch").out.splitlines()
    assert headline.endswith(f" {verdict(shop, study)['words']}")
    assert len(VERDICT.findall(headline)) == 1


def test_a_live_view_shows_the_verdict(shop: Path, tmp_path: Path):
    """In a terminal it stands behind the best trial's parameters."""
    folder = shutil.copytree(shop, tmp_path / "copy")
    code, shown = run_in_terminal("run", "-s", "shop", "--trials", "1", "--epochs", "1", cwd=folder)
    assert code == 0
    (best,) = {
        line.strip()
        for line in ESCAPE.sub("", shown).splitlines()
        if line.startswith("best: trial 0, ")
    }
    assert best.endswith(f"; {verdict(shop, LOW)['words']}")


@pytest.mark.parametrize("study", WORDS)
def test_a_report_judges_the_best_trial(shop: Path, study: str):
    """Before a confirmation the page's only verdict is that of the search, and says among how many it was chosen."""
    html, words = page(shop, study), verdict(shop, study)["words"]
    assert f"It is {words}, " in html
    assert "as the best of 1 completed trial." in html
    assert verdicts(html) == {words}


@pytest.mark.parametrize("study", WORDS)
def test_the_note_judges_the_best_trial(shop: Path, study: str):
    """The dashboard has it beside the best trial's value."""
    assert verdicts(row_of_note(shop, study, "Best trial")) == {verdict(shop, study)["words"]}


# --- after a confirmation ---


def confirmed_verdict(folder: Path, study: str) -> dict[str, Any]:
    """The verdict on the confirmed winner."""
    said = json.loads(do(folder, f"confirm -s {study} --top 1 --seeds 2 -q -f json").out)
    assert said["verdict"]["is_above"] == (study == HIGH)
    assert said["verdict"]["words"].startswith(WORDS[study])
    figures = json.loads(do(folder, f"status -s {study} -f json").out)["baselines"]
    assert said["verdict"]["difference"] == pytest.approx(
        said["candidates"][0]["mean"] - figures["item_knn"]
    )
    return said["verdict"]


@pytest.mark.parametrize("study", WORDS)
def test_a_confirmation_judges_the_winner(confirmed: Path, study: str):
    """A sentence below its table begins with the verdict of its JSON."""
    words = confirmed_verdict(confirmed, study)["words"]
    (sentence,) = (
        line
        for line in (confirmed / f"confirm.{study}.txt").read_text().splitlines()
        if verdicts(line)
    )
    assert (
        sentence
        == f"{words.capitalize()}, 95% of the expected figure minus that of the untuned baseline."
    )


@pytest.mark.parametrize("study", WORDS)
def test_a_report_judges_the_confirmed_winner(confirmed: Path, study: str):
    """After a confirmation the page's only verdict is that on the winner."""
    html, words = page(confirmed, study), confirmed_verdict(confirmed, study)["words"]
    assert f"It is {words}, " in html
    assert "as one of 1 candidate." in html
    assert verdicts(html) == {words}


@pytest.mark.parametrize("study", WORDS)
def test_the_note_judges_the_confirmed_winner(confirmed: Path, study: str):
    """The winner has a verdict of its own, and the best trial keeps that of the search."""
    assert verdicts(row_of_note(confirmed, study, "Winner")) == {
        confirmed_verdict(confirmed, study)["words"]
    }
    assert verdicts(row_of_note(confirmed, study, "Best trial")) == {
        verdict(confirmed, study)["words"]
    }


# --- of the final model ---


@pytest.mark.parametrize("study", WORDS)
def test_an_export_judges_the_final_model(exported: Path, study: str):
    """On test rows the same is compared: on stdout and in the bundle's metrics."""
    metrics = json.loads((exported / "results" / study / "best" / "metrics.json").read_text())
    found = metrics["verdict"]
    reached = metrics["baselines"]["item_knn"]["ndcg@10"]
    assert found["difference"] == pytest.approx(metrics["test"]["ndcg@10"] - reached)
    assert (found["is_above"], found["low"] > 0) == ((study == HIGH),) * 2
    assert found["words"].startswith(WORDS[study])
    assert verdicts((exported / f"export.{study}.txt").read_text()) == {found["words"]}


@pytest.mark.parametrize("study", WORDS)
def test_the_model_card_judges_the_final_model(exported: Path, study: str):
    """In bold, as metrics.json has it."""
    folder = exported / "results" / study / "best"
    words = json.loads((folder / "metrics.json").read_text())["verdict"]["words"]
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"On the test rows this model is **{words}**" in card
    assert verdicts(card) == {words}


# --- below popularity ---


@pytest.mark.parametrize("study", WORDS)
def test_a_winner_below_popularity_is_never_named_without_that(exported: Path, study: str):
    """One loud line in run, status, confirm, report, note, export-best, model card and recommend; none of one above."""
    facts = json.loads(do(exported, f"status -s {study} -f json").out)
    figures, best = facts["baselines"], facts["best"]["value"]
    popular = max(figures["popularity"], figures["popularity_told"])
    assert (best < popular) == (study == LOW)
    says = f"trial 0 ({best:.4f}) is BELOW untuned "
    assert (says in (facts["warning"] or "")) == (study == LOW)
    bundle = exported / "results" / study / "best"
    recommended = do(
        exported, f"recommend --bundle {bundle} --users shop.csv --target buy -k 2 --out found.csv"
    )
    shown = {
        "run": (exported / f"run.{study}.txt").read_text(),
        "status": do(exported, f"status -s {study}").out,
        "watch": do(exported, f"status -s {study} --watch").out,
        "confirm": (exported / f"confirm.{study}.txt").read_text(),
        "export-best": (exported / f"export.{study}.txt").read_text(),
        "report": page(exported, study),
        "note": optuna_dashboard.get_note(load(exported, study).study),
        "card": (bundle / "README.md").read_text(encoding="utf-8"),
        "recommend": recommended.err,
    }
    loud = {
        name: "is BELOW untuned popularity" in " ".join(text.split())
        for name, text in shown.items()
    }
    assert set(loud.values()) == {study == LOW}, loud
    assert ("untuned; the winner is BELOW it" in shown["report"]) == (study == LOW)


# --- of a comparison ---


@pytest.mark.slow
def test_a_comparison_marks_who_is_not_above(shop: Path, tmp_path: Path):
    """‡ stands beside these models alone, a footnote has the words, also for LaTeX, and CSV has each verdict."""
    folder = shutil.copytree(shop, tmp_path / "copy")
    models = "--models blade,item_knn,sequential_rules"
    budget = "--trials 1 --epochs 1 --top 1 --seeds 2"
    ended = do(folder, f"compare --study shop {models} {budget} -q -f markdown")
    table = ended.out
    labels = re.findall(r"^\| ([\w ,]+?)(?: [†‡!]+)* +\|", table, re.MULTILINE)
    reached = [
        float(cell)
        for cell in re.findall(r"^\|(?:[^|]*\|){4} *[*<u>]*([\d.]+)", table, re.MULTILINE)
    ]
    assert reached == sorted(reached, reverse=True)  # by NDCG@10, baselines among the models
    assert labels[1] == "sequential_rules"
    assert labels.index("popularity_told, untuned") < labels.index("blade")
    assert "WARNING blade (" in ended.err
    assert "\n! blade (" in table
    marked = {
        name: "‡" in line
        for line in table.splitlines()
        for name in re.findall(r"^\| (\w+) [^,]*?\|", line)
    }
    assert marked == {"model": False, "sequential_rules": False, "item_knn": True, "blade": True}
    assert (
        "\n‡ not above item_knn: the interval of the expected figure minus that of the untuned baseline"
        in table
    )
    files = folder / "results" / "shop.compare"
    assert (files / "valid.md").read_text(encoding="utf-8") == table
    latex = (files / "valid.tex").read_text(encoding="utf-8")
    assert r"\ddag{} not above item\_knn: the interval of the expected figure" in latex
    assert all(
        row in latex
        for row in (r"blade \dag{} \ddag{} ! &", r"item\_knn \ddag{} ", r"sequential\_rules &")
    )
    rows = {
        row["model"]: row for row in csv.DictReader(io.StringIO((files / "valid.csv").read_text()))
    }
    said = {name: row["verdict"] for name, row in rows.items() if row["verdict"]}
    assert {name: words.partition(":")[0] for name, words in said.items()} == {
        "blade": "not above item_knn",
        "item_knn": "not above item_knn",
        "sequential_rules": "above item_knn",
    }
    # Its only trial is the baseline
    assert said["item_knn"] == "not above item_knn: +0.0000 (+0.0000 to +0.0000)"
    assert rows["item_knn"]["ndcg@10"] == rows["item_knn, untuned"]["ndcg@10"]
