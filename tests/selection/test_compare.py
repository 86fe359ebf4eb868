"""Comparisons: one protocol and one budget for every model, or no table."""

import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from blade_tune.choices import NextItemLoss
from blade_tune.config import read_yaml, write_yaml
from blade_tune.errors import ConfigError
from blade_tune.fleet.devices import Placement
from blade_tune.fleet.settings import RunSettings
from blade_tune.models import MODELS as ALL_MODELS
from blade_tune.models import config_class
from blade_tune.report.comparison_tables import comparison_rows, comparison_table, cost_rows
from blade_tune.report.text_tables import markdown
from blade_tune.selection.compare import (
    Budget,
    HowTrained,
    define,
    published_trial,
    run_comparison,
    spent,
    uneven,
)
from blade_tune.selection.contenders import compare
from blade_tune.selection.cost import estimate
from blade_tune.selection.protocol import loss_of
from blade_tune.selection.runs import find_runs
from blade_tune.selection.statistics import holm, paired_bootstrap
from blade_tune.selection.testing import Opening
from blade_tune.spec.catalog import find
from blade_tune.spec.definition import is_fitted
from blade_tune.spec.recipes import RECIPES, SHARED, RecipeName
from blade_tune.storage.spending import Limit
from blade_tune.storage.trials import num_scored
from blade_tune.study.stored import StoredStudy
from blade_tune.trial.callback import Callback
from tests.export.test_export import CPU
from tests.selection.small import OwnExecutor
from tests.tiny import content

MODELS = ["blade", "blade_released"]
# Others: tests/cli/test_classical
EVERY = [name for name in ALL_MODELS if not is_fitted(name)] + ["item_knn", "ials"]
BUDGET = Budget(trials=2, top=1, seeds=2, max_epochs=1)
VALID = Opening("compare", CPU, None)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study file and small spaces for both models."""
    folder = tmp_path_factory.mktemp("compare")
    study = content(
        search__trials=9, train={"max_epochs": 3, "eval_every": 1, "patience": 2, "batch_size": 7}
    )
    small = {"embedding_size": 8, "max_length": 6}
    spaces = {
        "blade-extended": {"model": {**small, "num_blocks": 1, "alpha": {"float": [0.0, 1.0]}}},
        "blade": {"model": {"num_blocks": 8}},
        "blade_released": {
            "model": {**small, "num_heads": {"choice": [2, 4]}, "lambda_": {"choice": [0.01, 0.1]}}
        },
    }
    for path, file in {
        "studies/tiny": study,
        **{f"search_spaces/{n}": s for n, s in spaces.items()},
    }.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / f"{path}.yaml").write_text(write_yaml(file))
    return folder


@pytest.fixture(scope="module")
def studies(place: Path) -> list[StoredStudy]:
    """Both models, tuned and confirmed once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return run_comparison(define("tiny", MODELS, BUDGET), BUDGET, executor(place))


def executor(place: Path) -> OwnExecutor:
    return OwnExecutor(RunSettings(results=place / "results"), [], Callback())


def test_models_share_all_but_their_space(place: Path, monkeypatch: pytest.MonkeyPatch):
    """Data, protocol, epochs, sampler, pruner and seed are the study file's; its model's own settings are not."""
    monkeypatch.chdir(place)
    first, second = define("tiny", MODELS, Budget(5, 1, 2))
    assert (first.name, second.name) == ("tiny.compare-blade", "tiny.compare-blade_released")
    assert (first.data, first.objective, first.search) == (
        second.data,
        second.objective,
        second.search,
    )
    assert first.search.trials == 5
    for definition in (first, second):
        fixed = {
            name: value
            for name, value in definition.space.fixed.items()
            if name.startswith("train.")
        }
        assert fixed == {"train.max_epochs": 3, "train.eval_every": 1, "train.patience": 2}
    assert list(first.space.free) == ["model.alpha"]  # of blade-extended
    assert define("tiny", MODELS, BUDGET)[0].train.max_epochs == 1


def test_defaults_are_tried_first(studies: list[StoredStudy]):
    """A model's default configuration is its first trial, as far as its space has it."""
    blade, released = (stored.trials[0] for stored in studies)
    assert blade.user_attrs["tag"] == released.user_attrs["tag"] == "default"
    assert blade.params == {"model.alpha": 0.5}
    # The default, 0.001, is not in the space
    assert released.params["model.lambda_"] in (0.01, 0.1)


def test_budgets_are_exact_and_kept(
    studies: list[StoredStudy], place: Path, monkeypatch: pytest.MonkeyPatch
):
    """Each model has exactly the trials that were asked for; the same command again trains nothing."""
    monkeypatch.chdir(place)
    assert [num_scored(stored.trials) for stored in studies] == [2, 2]
    before = [len(stored.trials) for stored in studies]
    again = run_comparison(define("tiny", MODELS, BUDGET), BUDGET, executor(place))
    assert [len(stored.trials) for stored in again] == before
    assert [len(found.trials) for stored in again if (found := find_runs(stored))] == [2, 2]
    assert uneven(again, None) == []


def test_the_table_holds_what_was_measured(studies: list[StoredStudy]):
    """The best mean stands first; every pair is compared by its users and seeds, Holm over all pairs."""
    found = compare(studies, "valid", VALID)
    assert found.metric == "ndcg@10"
    means = [entry.scores.estimate("ndcg@10").mean for entry in found.entries]
    assert means == sorted(means, reverse=True)
    (pair,) = found.pairs
    one, other = (entry.scores.gains("ndcg@10") for entry in found.entries)
    owed = tuple(entry.owed for entry in found.entries)
    assert pair.comparison == paired_bootstrap(one, other, owed=owed)
    assert pair.comparison.difference >= 0.0
    assert pair.p_adjusted == holm([pair.comparison.p_value])[0]
    assert set(found.baselines) == {
        f"{name}, untuned" for name in ("popularity", "popularity_told", "item_knn")
    }
    rows = comparison_rows(found)
    assert [row["model"] for row in rows[:2]] == [entry.label for entry in found.entries]
    assert [row["trials"] for row in rows[:2]] == [2, 2]
    assert rows[0]["ndcg@10"] == pytest.approx(np.mean(found.entries[0].scores.metrics["ndcg@10"]))
    table = comparison_table(found, [])
    text = markdown(table)
    assert "blade †" in text
    assert "† is told the behavior set of the item to predict, or its label" in text
    assert found.protocol in table.footnotes
    assert found.protocol == (
        "protocol: loss bce, recipe published, exclude window, target_set truth, budget 2 trials of max_epochs 1, "
        "2 fresh seeds, test rows never opened"
    )
    assert "popularity" in text
    assert all(stored.ledger.openings() == [] for stored in studies)


def test_test_figures_cost_a_line_a_run(studies: list[StoredStudy]):
    """With --test each run of each winner is a line in the ledger of its search; once more, none."""
    for _ in range(2):
        found = compare(studies, "test", Opening("compare --test", CPU, None))
        assert [len(stored.ledger.openings()) for stored in studies] == [2, 2]
    assert found.part == "test"
    assert found.entries[0].scores.ranks_SU.shape[0] == 2


def test_told_and_untold_stand_side_by_side(studies: list[StoredStudy]):
    """Models that take a target set have a row for each other one: the same runs, compared with their own figures."""
    found = compare(studies, "valid", VALID, told=("truth", "mode"))
    assert [(each.model, each.target_set) for each in found.told] == [
        (entry.label, "mode") for entry in found.entries
    ]
    for each, entry in zip(found.told, found.entries, strict=True):
        pair = each.scores.gains("ndcg@10"), entry.scores.gains("ndcg@10")
        assert each.change == paired_bootstrap(*pair)
        assert each.change_p >= each.change.p_value
        assert each.rival is None  # both models take one
    rows = {row["model"]: row for row in comparison_rows(found)}
    assert rows["blade"]["target_set"] == "truth"
    assert rows["blade"]["told_target_set"]
    told = rows["blade, told mode"]
    assert (told["target_set"], told["told_target_set"], told["seeds"]) == ("mode", False, 2)
    assert told["ndcg@10"] - rows["blade"]["ndcg@10"] == pytest.approx(told["told_change"])
    table = comparison_table(found, [])
    assert "blade, told mode" in [label for label, _ in table.rows]
    assert any(note.startswith("told mode: takes a target set") for note in table.footnotes)
    assert compare(studies, "valid", VALID).told == ()


def test_a_footnote_says_what_the_protocol_tells(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Under `target_set: constant` the dagger's models are told nothing of the item, and the footnote says so."""
    for folder in ("studies", "search_spaces"):
        shutil.copytree(place / folder, tmp_path / folder)
    path = tmp_path / "studies" / "tiny.yaml"
    study = read_yaml(path)
    path.write_text(write_yaml({**study, "objective": {"target_set": "constant"}}))
    small = {"embedding_size": 8, "max_length": 6, "num_blocks": 1}
    (tmp_path / "search_spaces" / "sasrec.yaml").write_text(write_yaml({"model": small}))
    monkeypatch.chdir(tmp_path)
    budget = Budget(trials=1, top=1, seeds=2, max_epochs=1)
    searches = run_comparison(
        define("tiny", ["blade", "sasrec"], budget), budget, executor(tmp_path)
    )
    found = compare(searches, "valid", VALID, told=("truth",))
    table = comparison_table(found, [])
    (note,) = [note for note in table.footnotes if note.startswith("†")]
    assert note.endswith(
        "the same for every item to predict, {like, share, follow}: nothing of the item"
    )
    rows = {row["model"]: row for row in comparison_rows(found)}
    assert (rows["blade"]["target_set"], rows["blade"]["told_target_set"]) == ("constant", False)
    assert (rows["sasrec"]["target_set"], rows["sasrec"]["told_target_set"]) == (None, False)
    (told,) = found.told
    assert (told.label, told.rival) == ("blade, told truth", "sasrec")
    assert rows[told.label]["told_target_set"]
    assert "target_set constant" in found.protocol


@pytest.mark.parametrize(
    ("models", "law"),
    [
        (["blade"], "two or more"),
        (["blade", "blade"], "different"),
        (["blade", "blad"], "Did you mean blade"),
    ],
)
def test_models_are_checked_first(place: Path, monkeypatch: pytest.MonkeyPatch, models, law):
    """Names that make no comparison are refused before anything runs."""
    monkeypatch.chdir(place)
    with pytest.raises(ConfigError, match=law):
        define("tiny", models, BUDGET)


def test_one_loss_for_all_is_a_comparison_of_its_own(place: Path, monkeypatch: pytest.MonkeyPatch):
    """A loss asked for is every configuration's, in studies of other names; else each model has its own."""
    monkeypatch.chdir(place)
    for definition in define("tiny", MODELS, BUDGET, HowTrained(loss="ce")):
        assert definition.name == f"tiny.compare-ce-{definition.model}"
        assert definition.space.fixed["model.loss"] == "ce"
        assert "model.loss" not in definition.space.free
    assert all(
        "model.loss" not in definition.space.fixed for definition in define("tiny", MODELS, BUDGET)
    )


def test_another_recipe_for_all_is_a_comparison_of_its_own(
    place: Path, monkeypatch: pytest.MonkeyPatch
):
    """A recipe that is not the file's has studies of other names; one that is the file's has the file's."""
    monkeypatch.chdir(place)
    assert {definition.recipe for definition in define("tiny", MODELS, BUDGET)} == {"published"}
    same = define("tiny", MODELS, BUDGET, HowTrained("published"))
    assert [definition.name for definition in same] == [
        "tiny.compare-blade",
        "tiny.compare-blade_released",
    ]
    for loss in (None, "ce"):
        for definition in define("tiny", MODELS, BUDGET, HowTrained("shared", loss)):
            middle = "shared" if loss is None else f"shared-{loss}"
            assert definition.name == f"tiny.compare-{middle}-{definition.model}"
            assert definition.recipe == "shared"
            assert definition.space.fixed["model.loss"] == (loss or SHARED["model.loss"])
            assert [entry.tag for entry in definition.enqueue] == ["default"]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("loss", [None, *get_args(NextItemLoss)])
def test_every_model_takes_every_recipe_and_loss(recipe: RecipeName, loss: NextItemLoss | None):
    """Whatever a recipe fixes and the shared block frees, each loss goes with it in each model's shipped space."""
    definitions = define("qk-video", EVERY, BUDGET, HowTrained(recipe, loss))
    assert [definition.model for definition in definitions] == EVERY
    for definition in definitions:
        if loss is not None and not definition.is_fitted:
            assert definition.space.fixed["model.loss"] == loss


@pytest.mark.usefixtures("studies")
def test_what_is_done_costs_nothing_more(place: Path, monkeypatch: pytest.MonkeyPatch):
    """The estimate counts the trials and runs that are left, at their most epochs, and an evaluation for each due."""
    monkeypatch.chdir(place)
    settings = executor(place).settings
    done = [
        estimate(definition, BUDGET, settings, CPU) for definition in define("tiny", MODELS, BUDGET)
    ]
    assert [(cost.trials_left, cost.runs_left, cost.hours_at_most) for cost in done] == [
        (0, 0, 0.0)
    ] * 2
    more = Budget(trials=5, top=2, seeds=3, max_epochs=3)
    costs = [
        estimate(definition, more, settings, CPU) for definition in define("tiny", MODELS, more)
    ]
    assert [(cost.trials_left, cost.runs_left, cost.epochs_at_most) for cost in costs] == [
        (3, 4, 21)
    ] * 2
    for cost in costs:
        assert cost.epoch_s > 0.0
        assert cost.hours_at_most == pytest.approx(21 * (cost.epoch_s + cost.evaluation_s) / 3600)
    *_, total = cost_rows(costs)
    assert (total["trials_left"], total["runs_left"], total["epochs_at_most"]) == (6, 8, 42)


@pytest.mark.slow
def test_all_models_compare_on_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Every model of the registry is tuned over its shipped space, confirmed, and put into one table with its loss."""
    for name in ("blade-extended", *(set(EVERY) - {"blade"})):
        space = read_yaml(find("search_spaces", name))
        space["model"] |= {"max_length": 12}  # the demo's histories are no longer
        space["model"] |= {} if is_fitted(name) else {"embedding_size": 8}  # narrow is quick
        path = tmp_path / "search_spaces" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(write_yaml(space))
    monkeypatch.chdir(tmp_path)
    budget = Budget(trials=2, top=1, seeds=2, max_epochs=3)
    searches = run_comparison(define("demo", EVERY, budget), budget, executor(tmp_path))
    assert [num_scored(stored.trials) for stored in searches] == [2] * len(EVERY)
    found = compare(searches, "valid", Opening("compare", CPU, None))
    assert {entry.label for entry in found.entries} == set(EVERY)
    seeds = {entry.label: len(entry.scores.ranks_SU) for entry in found.entries}
    assert seeds == {name: 2 if config_class(name).is_seeded else 1 for name in EVERY}
    assert len(found.pairs) == len(EVERY) * (len(EVERY) - 1) / 2
    rows = {row["model"]: row for row in comparison_rows(found)}
    # Of the shared recipe, but for a published setting that wins with its own
    losses = {name: {"" if is_fitted(name) else SHARED["model.loss"]} for name in EVERY}
    for entry in found.entries:
        published = published_trial(entry.study)
        if published and published.number == entry.winner.trial:
            losses[entry.label] = {loss_of(entry.study.definition, entry.winner.values)}
    is_told = {entry.label: entry.target_set == "truth" for entry in found.entries}
    assert [is_told[name] for name in ("blade", "item_knn", "sasrec")] == [True, False, False]
    text = markdown(comparison_table(found, []))
    for name in EVERY:
        assert rows[name]["loss"] in losses[name]
        assert (f"{name} †" in text) == is_told[name]
        assert rows[name]["verdict"].startswith(("above item_knn: ", "not above item_knn: "))


def test_steps_may_be_what_is_equal(place: Path, monkeypatch: pytest.MonkeyPatch):
    """Searches of different models spend the same steps, which the table says with what the second half added."""
    monkeypatch.chdir(place)
    budget = Budget(trials=5, top=1, seeds=2, max_epochs=2, limit=Limit("steps", 40))
    results = place / "by-steps"
    own = OwnExecutor(RunSettings(results=results), [], Callback())
    models = ["blade", "blade_released", "popularity"]
    ended = run_comparison(define("tiny", models, budget), budget, own)
    assert [spent(stored)["steps"] for stored in ended][:2] == [40, 40]
    assert num_scored(ended[2].trials) == 5
    assert uneven(ended, None, budget.limit) == []
    assert uneven(ended, None) != []  # of trials they have as many as they had steps for
    found = compare(ended, "valid", VALID)
    rows = {row["model"]: row for row in comparison_rows(found)}
    assert rows["blade"]["budget"] == rows["blade_released"]["budget"] == "40 steps"
    text = markdown(comparison_table(found, []))
    assert "blade: 40 of 40 steps are spent" in text
    assert "The second half of 40 steps added" in text
    costs = [estimate(d, budget, own.settings, CPU) for d in define("tiny", models[:2], budget)]
    assert [(cost.budget_left, cost.runs_left) for cost in costs] == [("0 steps", 0)] * 2


def test_cpu_hours_are_no_budget_of_a_gpu(tmp_path: Path):
    """What a GPU does takes little of a processor, so models of different cost would seem equal."""
    budget = Budget(trials=5, top=1, seeds=2, limit=Limit("cpu_hours", 1.0))
    gpu = Placement(device="cuda", visible="0", share=1.0, threads=1)
    own = OwnExecutor(RunSettings(results=tmp_path), [gpu], Callback())
    with pytest.raises(ConfigError, match="take --budget hours:N, or --device cpu"):
        run_comparison(define("demo", ["sasrec", "popularity"], budget), budget, own)
    assert not list(tmp_path.iterdir())
