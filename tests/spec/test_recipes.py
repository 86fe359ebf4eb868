"""Recipes: what holds where neither a study's space nor its train section says."""

from pathlib import Path
from typing import Any

import pytest

from blade_tune.config import Settings, write_yaml
from blade_tune.errors import ConfigError
from blade_tune.models import MODELS
from blade_tune.space import Space
from blade_tune.spec import recipes
from blade_tune.spec.definition import StudyDefinition, config_classes, is_fitted
from blade_tune.spec.recipes import SHARED, complete
from blade_tune.spec.space_check import check_space
from blade_tune.study.create import open_study
from blade_tune.study.workspace import Workspace
from blade_tune.training.config import TrainConfig
from tests.tiny import content, stored, tiny_data

BLADE = config_classes("blade")
NEURAL = [name for name in MODELS if not is_fitted(name)]
WHOLE = recipes.values("shared")
EMPTY = Space({}, {}, "empty")
# The second has an effect under the first only
LOSS = {"model.loss": "sampled_softmax", "model.num_negatives": 9}


def study(folder: Path, **changes: Any) -> str:
    """The path of the tiny study as a file that names no recipe, some of its values changed; None drops a key."""
    written = {
        name: value
        for name, value in {**content(), "recipe": None, **changes}.items()
        if value is not None
    }
    path = folder / "mine.yaml"
    path.write_text(write_yaml(written), encoding="utf-8")
    return str(path)


# What is filled


def has_effect(model: type[Settings], field: str, values: dict[str, Any]) -> bool:
    extra: Any = model.model_fields[field].json_schema_extra or {}
    conditions = extra.get("only_when", {}).items()
    return all(
        values.get(other, model.model_fields[other].default) in allowed
        for other, allowed in conditions
    )


@pytest.mark.parametrize("name", NEURAL)
def test_an_empty_space_gets_the_whole_recipe(name: str):
    """Every setting of the recipe that the model takes and that has an effect beside the others is fixed."""
    configs = config_classes(name)
    refused = getattr(configs["model"], "refused", {})
    values = {setting.partition(".")[2]: value for setting, value in WHOLE.items()}
    expected = {
        setting: value
        for setting, value in WHOLE.items()
        for group, _, field in [setting.partition(".")]
        if field in configs[group].model_fields
        and field not in refused
        and (group == "train" or has_effect(configs[group], field, values))
    }
    space = complete(EMPTY, "shared", configs)
    assert dict(space.fixed) == expected
    assert not space.free
    check_space(space, configs)


@pytest.mark.parametrize("name", NEURAL)
def test_the_published_recipe_adds_nothing(name: str):
    """It is the models' own defaults, which need no words."""
    assert complete(EMPTY, "published", config_classes(name)).canonical() == {}
    assert recipes.values("published") == {}


def test_what_a_space_says_wins():
    """What is fixed or free stays as it is; the rest of the recipe is added."""
    said = {
        "model": {"embedding_size": 16, "dropout": {"choice": [0.1, 0.2]}},
        "train": {"learning_rate": {"float": [0.1, 0.2]}},
    }
    space = Space.from_mapping(said, "s")
    completed = complete(space, "shared", BLADE)
    assert completed.free == space.free
    assert completed.fixed["model.embedding_size"] == 16
    added = completed.fixed.keys() - space.fixed.keys()
    assert added == WHOLE.keys() - {"model.embedding_size", "model.dropout", "train.learning_rate"}
    assert all(completed.fixed[name] == WHOLE[name] for name in added)


def test_what_would_have_no_effect_is_left_out(monkeypatch: pytest.MonkeyPatch):
    """Negatives are counted only where some configuration shares them, so that a completed space passes its check."""
    monkeypatch.setattr(recipes, "SHARED", LOSS)
    monkeypatch.setattr(recipes, "WHERE_PRESENT", {})
    for loss, is_filled in (
        ("bce", False),
        ("sampled_softmax", True),
        ({"choice": ["bce", "ce"]}, False),
        ({"choice": ["bce", "sampled_softmax"]}, True),
    ):
        space = complete(Space.from_mapping({"model": {"loss": loss}}, "s"), "shared", BLADE)
        assert ("model.num_negatives" in space.fixed) == is_filled
        check_space(space, BLADE)
    assert complete(EMPTY, "shared", BLADE).fixed == LOSS


def test_a_refused_field_is_spared(monkeypatch: pytest.MonkeyPatch):
    """A model is not asked for what has no meaning in it."""
    monkeypatch.setattr(recipes, "SHARED", {"model.block_init": "identity", "model.dropout": 0.7})
    refusing, others = set(), set()
    for name in NEURAL:
        configs = config_classes(name)
        fixed = complete(EMPTY, "shared", configs).fixed
        assert fixed["model.dropout"] == 0.7
        (refusing if "block_init" in configs["model"].refused else others).add(name)
        assert ("model.block_init" in fixed) == (name in others)
    assert refusing
    assert others


@pytest.mark.parametrize("name", NEURAL)
def test_a_completed_space_is_complete(name: str):
    """Once more adds nothing, of whatever was said before."""
    configs = config_classes(name)
    for space in (
        EMPTY,
        Space.from_mapping({"model": {"loss": {"choice": ["bce", "sampled_softmax"]}}}, "s"),
    ):
        once = complete(space, "shared", configs)
        assert complete(once, "shared", configs).canonical() == once.canonical()


# Study files


def test_a_study_file_is_shared_unless_it_says(tmp_path: Path):
    """A file without the key is completed with what it leaves open; one that says published is not."""
    shared = StudyDefinition.load(study(tmp_path))
    assert shared.recipe == "shared"
    left_open = SHARED.keys() - {"model.embedding_size", "train.batch_size"}
    assert all(
        shared.space.fixed[name] == SHARED[name]
        for name in left_open
        if name not in shared.space.free
    )
    assert (shared.space.fixed["model.embedding_size"], shared.space.fixed["train.batch_size"]) == (
        8,
        16,
    )
    published = StudyDefinition.load(study(tmp_path, recipe="published"))
    assert published.recipe == "published"
    assert published.space.fixed.keys() < shared.space.fixed.keys()
    assert (shared.name, published.name) == ("mine", "mine")


def test_a_train_section_wins_over_the_recipe(tmp_path: Path):
    """What `train` fixes is not the recipe's."""
    train = {**content()["train"], "learning_rate": 0.25}
    assert (
        StudyDefinition.load(study(tmp_path, train=train)).space.fixed["train.learning_rate"]
        == 0.25
    )


@pytest.mark.parametrize("name", ["batch_size", "learning_rate"])
def test_a_train_section_wins_over_the_shared_block(tmp_path: Path, name: str):
    """A study may fix what its space includes as free, and not what the space has free itself."""
    value = TrainConfig.model_fields[name].default
    train = {**content()["train"], name: value}
    fixed = StudyDefinition.load(study(tmp_path, model="sasrec", space="sasrec", train=train)).space
    assert fixed.fixed[f"train.{name}"] == value
    assert f"train.{name}" not in fixed.free
    with pytest.raises(
        ConfigError, match=rf"train\.{name} is given here and in .*sasrec\.yaml; keep one"
    ):
        StudyDefinition.load(
            study(tmp_path, model="sasrec", space="sasrec", train=train, recipe="published")
        )


def test_defaults_are_tried_first(tmp_path: Path):
    """A shared study that enqueues nothing tries its defaults first: the recipe's, else the model's, as far as they lie
    in its space. One that enqueues something keeps to that, and a published one tries nothing.
    """
    space = {"model": {"num_heads": {"choice": [2, 4]}, "alpha": {"float": [0.0, 0.1]}}}
    space["model"]["dropout"] = {"choice": [0.0, SHARED["model.dropout"]]}
    first = StudyDefinition.load(study(tmp_path, space=space))
    [entry] = first.enqueue
    assert entry.tag == "default"
    assert first.enqueued_params(0) == {
        "model.num_heads": 2,
        "model.dropout": SHARED["model.dropout"],
    }
    own = StudyDefinition.load(study(tmp_path, space=space, enqueue=[{"tag": "mine"}]))
    assert [entry.tag for entry in own.enqueue] == ["mine"]
    assert StudyDefinition.load(study(tmp_path, space=space, recipe="published")).enqueue == ()


@pytest.mark.parametrize(
    ("file", "asked"), [("shared", "published"), ("published", "shared"), (None, "published")]
)
def test_another_recipe_is_another_study(tmp_path: Path, file: str | None, asked: Any):
    """A recipe that is not the file's ends the study's name and drops what is enqueued; shared begins with defaults."""
    path = study(tmp_path, recipe=file, enqueue=[{"model": {"alpha": 0.25}, "tag": "mine"}])
    other = StudyDefinition.load(path, recipe=asked)
    assert (other.name, other.recipe) == (f"mine-{asked}", asked)
    assert [entry.tag for entry in other.enqueue] == (["default"] if asked == "shared" else [])
    same = StudyDefinition.load(path, recipe=file or "shared")
    assert same.name == "mine"
    assert [entry.tag for entry in same.enqueue] == ["mine"]


def test_another_model_and_recipe_are_named_in_this_order(tmp_path: Path):
    """STUDY-MODEL-RECIPE has the model's own space as the recipe has it."""
    other = StudyDefinition.load(study(tmp_path), model="sasrec", recipe="published")
    assert other.name == "mine-sasrec-published"
    assert "model.norm" in other.space.free
    assert not {"model.loss", "model.item_init"} & other.space.fixed.keys()


def test_a_fitted_model_has_no_recipe(tmp_path: Path):
    """It is completed with nothing, and its own defaults are tried first under each."""
    for recipe in (None, "published"):
        fitted = StudyDefinition.load(study(tmp_path), model="item_knn", recipe=recipe)
        assert fitted.space.fixed == {}
        assert [entry.tag for entry in fitted.enqueue] == ["default"]


@pytest.mark.parametrize("recipe", ["sharde", "", 3])
def test_a_misspelled_recipe_is_refused(tmp_path: Path, recipe: Any):
    """The message has both names."""
    with pytest.raises(
        ConfigError, match=r"mine\.yaml: recipe must be 'shared' or 'published', got"
    ):
        StudyDefinition.load(study(tmp_path, recipe=recipe))


@pytest.mark.parametrize("model", [["blade"], {"blade": 1}, 3])
def test_a_model_that_is_no_name_is_refused(tmp_path: Path, model: Any):
    """Whatever stands there, the message says what it must be."""
    with pytest.raises(ConfigError, match=r"mine\.yaml: model must be a valid string"):
        StudyDefinition.load(study(tmp_path, model=model))


# Stored studies


def test_what_is_stored_is_read_back_under_any_later_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A stored study has all that it was run with: a recipe that would say more, or another thing, changes nothing."""
    definition = StudyDefinition.from_mapping("tiny", content(recipe="shared"), "tiny.yaml")
    open_study(definition, tiny_data(tmp_path), Workspace.at(None, tmp_path))
    monkeypatch.setattr(recipes, "SHARED", {**SHARED, "train.patience": 5, "model.ffn_multiple": 4})
    assert (
        "train.patience"
        in StudyDefinition.from_mapping("x", content(recipe="shared"), "x").space.fixed
    )
    again = stored(tmp_path).definition
    assert again.space.canonical() == definition.space.canonical()
    assert again.to_mapping()["recipe"] == "shared"


def test_a_stored_study_may_have_less_than_its_recipe():
    """One that was stored before its recipe said more has no more for being read."""
    mapping = {**content(recipe="shared"), "train": {}}
    space = StudyDefinition.from_stored("tiny", mapping).space
    assert space.canonical() == Space.from_mapping(mapping["space"], "s").canonical()
    assert (
        StudyDefinition.from_mapping("tiny", mapping, "x").space.fixed.keys() > space.fixed.keys()
    )


def test_without_a_word_a_mapping_is_published():
    """Studies that are defined in Python, and those stored before there were recipes, are as they were."""
    mapping = {name: value for name, value in content().items() if name != "recipe"}
    for read in (
        StudyDefinition.from_stored("x", mapping),
        StudyDefinition.from_mapping("x", mapping, "x"),
    ):
        assert read.recipe == "published"
        assert not {"model.loss", "model.item_init"} & read.space.fixed.keys()
