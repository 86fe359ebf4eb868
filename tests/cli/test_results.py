"""What the commands after `run` print, on stdout and nowhere else."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from blade_tune.config import read_yaml
from blade_tune.spec.recipes import RECIPES, SHARED
from tests.cli.program import TINY, call

FREE = ["model.alpha", "model.augmentation", "model.mask_exponent", "train.learning_rate"]
SPACES = sorted(
    {path.stem for path in (Path(__file__).parents[2] / "search_spaces").glob("*.yaml")}
    - {"shared"}
)
LOOKING = [
    ["status", "--study", "tiny"],
    ["trials", "--study", "tiny"],
    ["show", "0", "--study", "tiny"],
    ["data", "stats", "--study", "tiny"],
    ["space", "show", "blade"],
]


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("form", ["table", "json", "csv"])
@pytest.mark.parametrize("words", LOOKING, ids=" ".join)
def test_a_command_that_looks_prints_its_result_alone(finished, words, form):
    """Every form of every result is on stdout, and stderr stays empty."""
    ended = call(*words, "--format", form, cwd=finished)
    assert (ended.code, ended.err) == (0, "")
    assert len(ended.out.splitlines()) > 3
    if form == "json":
        json.loads(ended.out)
    if form == "csv":
        assert len({len(row) for row in csv.reader(io.StringIO(ended.out))}) == 1


def test_status_has_budget_trials_and_best(status):
    """`status -f json` has exactly these keys; the best trial has number, value and dotted parameters."""
    first, then = (
        ["name", "model", "metric", "budget", "scored", "limit", "trials", "best"],
        ["baselines", "verdict", "warning"],
    )
    assert list(status) == [
        *first,
        *then,
        "time_to_baseline",
        "noise",
        "failures",
        "cpu_hours",
        "gpu_hours",
        "pace",
        "workers",
    ]
    assert (status["name"], status["model"], status["metric"]) == ("tiny", "blade", "ndcg@10")
    assert (status["budget"], status["scored"]) == (3, 3)
    assert list(status["trials"]) == [
        "complete",
        "pruned",
        "paused",
        "failed",
        "running",
        "waiting",
        "continued",
    ]
    assert sum(status["trials"].values()) == 3
    assert list(status["best"]) == ["number", "value", "params"]
    assert 0.0 <= status["best"]["value"] <= 1.0
    assert set(status["best"]["params"]) <= set(FREE)


def test_trials_are_a_row_each(finished):
    """`trials -f csv` has a row a trial and a column a free parameter under its dotted name."""
    listed = rows(call("trials", "--study", "tiny", "-f", "csv", cwd=finished).out)
    assert [row["number"] for row in listed] == ["0", "1", "2"]
    assert [name for name in listed[0] if name.startswith(("model.", "train."))] == FREE


def test_csv_and_json_agree(finished):
    """Both forms of `trials` hold the same values; what JSON calls null is empty in CSV."""
    plain = rows(call("trials", "--study", "tiny", "-f", "csv", cwd=finished).out)
    typed = json.loads(call("trials", "--study", "tiny", "-f", "json", cwd=finished).out)
    assert plain == [
        {name: "" if v is None else str(v) for name, v in row.items()} for row in typed
    ]


def test_parameters_are_those_that_were_trained_on(finished, status):
    """Tables hold the very values of each trial's config.yaml: 0.6, not 0.6000000000000001."""
    for row in json.loads(call("trials", "--study", "tiny", "-f", "json", cwd=finished).out):
        settings = read_yaml(finished / f"results/tiny/trials/{row['number']}/config.yaml")
        trained = {
            f"{group}.{key}": value
            for group, entries in settings.items()
            for key, value in entries.items()
        }
        assert {name: row[name] for name in FREE} == {name: trained.get(name) for name in FREE}
        if row["number"] == status["best"]["number"]:
            assert status["best"]["params"] == {
                name: row[name] for name in FREE if row[name] is not None
            }


def test_the_best_has_the_highest_value(finished, status):
    """The best trial of `status` is the best row of `trials`, and its value its validation figure."""
    listed = json.loads(call("trials", "--study", "tiny", "-f", "json", cwd=finished).out)
    best = max((row for row in listed if row["state"] == "complete"), key=lambda row: row["value"])
    assert (best["number"], best["value"]) == (status["best"]["number"], status["best"]["value"])
    assert best["value"] == best["valid.ndcg@10"]


def test_a_table_keeps_a_column_of_zeros(finished_copy):
    """A table leaves out columns without any value, not those whose values are 0."""
    shutil.rmtree(finished_copy / "results")
    call("run", "--study", "tiny", "--trials", "1", "-q", cwd=finished_copy)
    header, only = call("trials", "--study", "tiny", cwd=finished_copy).out.splitlines()
    assert (header.split()[0], only.split()[0]) == ("number", "0")


def test_show_has_everything_about_a_trial(finished):
    """`show` has the whole configuration, fixed values included, the curve by epoch, and the trial's folder."""
    facts = json.loads(call("show", "0", "--study", "tiny", "-f", "json", cwd=finished).out)
    assert facts["configuration"]["model.embedding_size"] == 8
    assert facts["configuration"]["train.max_epochs"] == 2
    assert list(facts["curve"]) == ["1", "2"]
    assert facts["value"] == max(facts["curve"].values())
    assert (finished / facts["folder"] / "config.yaml").is_file()


def test_tables_are_written_where_that_is_asked_for(finished_copy):
    """`trials` alone writes none, with --save trials.csv as `-f csv` prints it, and epochs.csv with a row an epoch."""
    folder = finished_copy / "results" / "tiny"
    for name in ("trials.csv", "epochs.csv"):
        (folder / name).unlink()
    printed = call("trials", "--study", "tiny", "-f", "csv", cwd=finished_copy).out
    assert not [name for name in ("trials.csv", "epochs.csv") if (folder / name).exists()]
    assert call("trials", "--study", "tiny", "--save", cwd=finished_copy).code == 0
    assert (folder / "trials.csv").read_text() == printed
    epochs = rows((folder / "epochs.csv").read_text())
    assert [(row["trial"], row["epoch"]) for row in epochs] == [
        (str(n), str(e)) for n in range(3) for e in (1, 2)
    ]


def test_a_run_writes_its_tables(finished):
    """`run` leaves trials.csv as `trials -f csv` prints it, epochs.csv, and the study with its space written out."""
    folder = finished / "results" / "tiny"
    printed = call("trials", "--study", "tiny", "-f", "csv", cwd=finished).out
    assert (folder / "trials.csv").read_text() == printed
    assert len(rows((folder / "epochs.csv").read_text())) == 6
    assert read_yaml(folder / "study.yaml")["space"]["model"]["alpha"] == {
        "float": [0.0, 1.0],
        "step": 0.1,
    }


def test_export_writes_a_bundle(finished_copy, status):
    """`export-best --out DIR` writes the bundle there and prints where, its figures and the baselines."""
    ended = call(
        "export-best", "--study", "tiny", "--out", "final", "-f", "json", cwd=finished_copy
    )
    assert ended.code == 0
    assert ended.err.startswith("WARNING study=tiny no winner is confirmed")
    facts = json.loads(ended.out)
    assert list(facts) == [
        "bundle",
        "rule",
        "trial",
        "valid",
        "test",
        "test_users",
        "baselines",
        "verdict",
        "warning",
        "words",
    ]
    assert facts["bundle"] == "final"
    assert facts["valid"]["ndcg@10"] == status["best"]["value"]
    assert set(facts["test"]) == set(facts["valid"])
    assert set(facts["baselines"]) == {"popularity", "popularity_told", "item_knn"}
    assert (
        json.loads((finished_copy / "final" / "metrics.json").read_text())["test"] == facts["test"]
    )
    assert not (finished_copy / "results" / "tiny" / "best").exists()
    assert len((finished_copy / "results" / "tiny" / "ledger.jsonl").read_text().splitlines()) == 1


def test_looking_opens_no_test_row(finished):
    """No command that only looks leaves a line in the ledger."""
    for words in LOOKING:
        call(*words, cwd=finished)
    assert not (finished / "results" / "tiny" / "ledger.jsonl").exists()


def test_data_stats_counts(finished):
    """`data stats -f json` counts users, items, interactions and behaviors."""
    facts = json.loads(call("data", "stats", "--study", "tiny", "-f", "json", cwd=finished).out)
    assert 0 < facts["users"] <= TINY["data"]["num_users"]
    assert 0 < facts["items"] <= TINY["data"]["num_items"]
    assert facts["interactions"] == sum(facts["parts"].values())
    assert list(facts["behaviors"]) == TINY["data"]["behaviors"]


@pytest.mark.parametrize("name", SPACES)
def test_shipped_spaces_fit_their_models(name, tmp_path):
    """`space check` finds every shipped space from any folder, and it fits the model its name begins with."""
    ended = call("space", "check", name, cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert ": fits; " in ended.out


@pytest.mark.parametrize("name", SPACES)
def test_space_show_lists_every_setting_once(name, tmp_path):
    """`space show` has a row a setting, what is searched first."""
    listed = json.loads(call("space", "show", name, "-f", "json", cwd=tmp_path).out)
    names, kinds = [row["name"] for row in listed], [row["kind"] for row in listed]
    assert len(set(names)) == len(names)
    assert kinds == sorted(kinds, key=["free", "fixed", "default"].index)
    assert "free" in kinds
    assert all(row["what"] for row in listed)


@pytest.mark.parametrize("name", ["blade", "sasrec", "eidp"])
def test_a_space_is_shown_as_its_recipe_has_it(name, tmp_path):
    """`space show` is of the shared recipe, with what it fixes; that of --recipe published fixes nothing."""
    shown = {}
    for recipe in RECIPES:
        words = ("space", "show", name, "--recipe", recipe, "-f", "json")
        rows = json.loads(call(*words, cwd=tmp_path).out)
        shown[recipe] = {row["name"]: (row["kind"], row["value"]) for row in rows}
        assert call("space", "check", name, "--recipe", recipe, cwd=tmp_path).code == 0
    rows = json.loads(call("space", "show", name, "-f", "json", cwd=tmp_path).out)
    assert (
        shown["shared"]
        == {row["name"]: (row["kind"], row["value"]) for row in rows}
        != shown["published"]
    )
    free = {setting: value for setting, (kind, value) in shown["shared"].items() if kind == "free"}
    for setting, value in SHARED.items():
        assert shown["shared"][setting] == ("fixed", str(value)) or setting in free
    assert "fixed" not in {kind for kind, _ in shown["published"].values()}


def test_the_shared_block_fits_a_neural_model(tmp_path):
    """It is no model's space, so that --model says whose it is to be."""
    ended = call("space", "check", "shared", "--model", "sasrec", cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert "--model" in call("space", "check", "shared", cwd=tmp_path).err


def test_a_space_that_does_not_fit_names_the_law(tmp_path):
    """`space check` of a range beyond its model's bounds is a configuration error that names file and key."""
    (tmp_path / "blade-wide.yaml").write_text("model: {alpha: {float: [0.0, 1.5]}}\n")
    ended = call("space", "check", "blade-wide.yaml", cwd=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert "blade-wide.yaml: model" in ended.err
    assert "alpha" in ended.err


def test_a_space_of_an_unclear_model_asks_for_it(tmp_path):
    """A space whose name begins with no model's is checked once --model says which."""
    (tmp_path / "mine.yaml").write_text("model: {alpha: {float: [0.0, 1.0]}}\n")
    assert "--model" in call("space", "check", "mine.yaml", cwd=tmp_path).err
    assert call("space", "check", "mine.yaml", "--model", "blade", cwd=tmp_path).code == 0
