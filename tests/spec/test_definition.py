"""A study file: what is checked before anything runs, and what flags change."""

from pathlib import Path
from typing import Any

import pytest

from blade_tune.config import write_yaml
from blade_tune.errors import ConfigError
from blade_tune.spec.definition import StudyDefinition
from tests.tiny import STUDY, content, define

SPACE = {"model": {"num_heads": {"choice": [1, 2]}}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The tiny study as a file."""
    return written(tmp_path)


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "mine.yaml"
    path.write_text(write_yaml(content(**changes)), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modle": "blade"}, "tiny.yaml: unknown key modle. Did you mean model?"),
        ({"model": "blad"}, "tiny.yaml: unknown model 'blad'. Did you mean blade?"),
        (
            {"data__source": "synthetik"},
            "tiny.yaml: data: unknown source 'synthetik'. Did you mean synthetic?",
        ),
        ({"data__num_uesrs": 3}, "tiny.yaml: data: unknown key num_uesrs. Did you mean num_users?"),
        (
            {"search__sampler": "tpa"},
            "tiny.yaml: search.sampler must be 'tpe', 'random', 'grid', 'qmc' or 'gp', got 'tpa'.",
        ),
        (
            {"search__trials": 0},
            "tiny.yaml: search.trials must be greater than or equal to 1, got 0.",
        ),
        (
            {"search__pruner__percentil": 75},
            "tiny.yaml: unknown key search.pruner.percentil. Did you mean percentile?",
        ),
        (
            {"search__pruner__warmup": 1.0},
            "tiny.yaml: search.pruner.warmup must be less than 1, got 1.0.",
        ),
        (
            {"objective": {"metric": "ndcg@7"}},
            "tiny.yaml: objective.metric must be 'ndcg@5', 'ndcg@10'",
        ),
        (
            {"space__model__alhpa": 1.0},
            "tiny.yaml: space: unknown model key alhpa. Did you mean alpha?",
        ),
        (
            {"space__model__num_heads": {"choice": [2, 3]}},
            "tiny.yaml: space: model: embedding_size must be divisible",
        ),
        (
            {"train__batch_size": 32},
            "tiny.yaml: train: train.batch_size is given here and in tiny.yaml: space; keep one.",
        ),
        (
            {"train__lerning_rate": 0.1},
            "tiny.yaml: space: unknown train key lerning_rate. Did you mean learning_rate?",
        ),
        (
            {"enqueue": [{"model": {"alhpa": 1.0}}]},
            "study tiny: enqueue[0]: unknown parameter model.alhpa. Did you mean",
        ),
        (
            {"enqueue": [{}, {"model": {"alpha": 0.3}}]},
            "study tiny: enqueue[1]: model.alpha must lie in [0, 1] step 0.25",
        ),
        ({"enqueue": [{"modle": {}}]}, "tiny.yaml: unknown key enqueue.0.modle."),
    ],
)
def test_a_wrong_study_is_refused(changes: dict[str, Any], message: str):
    """A slip anywhere in a study file is refused with its place, its law and a guess."""
    with pytest.raises(ConfigError) as error:
        define(**changes)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("key", ["max_epochs", "eval_every"])
def test_epochs_cannot_be_searched(key: str):
    """Pruning compares trials at equal epochs, so neither their number nor their evaluations may vary."""
    changed = content(space__train={key: {"choice": [1, 2]}})
    del changed["train"][key]
    with pytest.raises(
        ConfigError, match=rf"^tiny\.yaml: train\.{key} cannot be searched: pruning compares trials"
    ):
        StudyDefinition.from_mapping("tiny", changed, "tiny.yaml")


def test_the_grid_needs_steps():
    """A grid over a continuous range is refused, and accepted when it has a step."""
    with pytest.raises(
        ConfigError, match=r"^tiny\.yaml: the grid sampler needs a step for every float"
    ):
        define(search__sampler="grid")
    define(search__sampler="grid", space__model__lambda_={"float": [0.1, 0.3], "step": 0.1})


@pytest.mark.parametrize("name", ["", "-x", "a/b", "a b", "../up", ".hidden"])
def test_a_name_is_one_plain_word(name: str):
    """A study's name becomes a folder's, so it has nothing a path or a shell would read."""
    with pytest.raises(ConfigError, match="a study's name has only letters"):
        StudyDefinition.from_mapping(name, STUDY, "x.yaml")


def test_the_stored_form_is_read_back():
    """A definition, written as a file with its space, is the same study."""
    study = define(
        enqueue=[{"model": {"alpha": 0.25}, "tag": "mine", "metadata": {"seed": 1}}],
        objective={"metric": "hr@5"},
    )
    again = StudyDefinition.from_mapping("tiny", study.to_mapping(), "stored")
    assert again.to_mapping() == study.to_mapping()
    assert (again.train, again.objective, again.search) == (
        study.train,
        study.objective,
        study.search,
    )
    assert again.enqueued_params(0) == {"model.alpha": 0.25}


def test_train_settings_are_fixed_for_every_trial():
    """What `train` says stands in the space beside what the space fixes, and defaults fill the rest."""
    study = define(train__learning_rate=0.01)
    assert study.space.fixed["train.learning_rate"] == 0.01
    assert study.space.fixed["train.batch_size"] == 16
    assert (study.train.max_epochs, study.train.early_stop) == (2, "objective")


def test_a_path_names_the_study(file: Path):
    """A study file anywhere is a study of its stem's name."""
    assert StudyDefinition.load(str(file)).name == "mine"


def test_an_unknown_study_gets_a_guess():
    """A name or a path that leads nowhere is refused."""
    with pytest.raises(
        ConfigError,
        match=r"no file dmeo\.yaml in \./studies or in the package\. Did you mean demo\?",
    ):
        StudyDefinition.load("dmeo")
    with pytest.raises(ConfigError, match=r"^nowhere/x\.yaml: no such file\.$"):
        StudyDefinition.load("nowhere/x.yaml")


def test_a_space_file_may_stand_beside_the_study(tmp_path: Path):
    """A space's path counts from the study file."""
    (tmp_path / "small.yaml").write_text(write_yaml(SPACE), encoding="utf-8")
    study = StudyDefinition.load(str(written(tmp_path, space="small.yaml")))
    assert list(study.space.free) == ["model.num_heads"]


def test_without_a_space_the_model_s_own_is_searched():
    """A study that names no space searches the shipped one called as its model."""
    changed = content()
    del changed["space"]
    assert "model.rho" in StudyDefinition.from_mapping("tiny", changed, "tiny.yaml").space.free


def test_flags_win_over_the_file(file: Path):
    """Epochs and search settings given by flag replace the file's one by one; the rest stays."""
    written(
        file.parent, search={"trials": 3, "seed": 5, "pruner": {"percentile": 60, "warmup": 0.5}}
    )
    study = StudyDefinition.load(
        str(file), max_epochs=7, search={"trials": 9, "pruner": {"kind": "median"}}
    )
    assert (study.train.max_epochs, study.train.eval_every) == (7, 1)
    assert (study.search.trials, study.search.seed, study.search.sampler) == (9, 5, "tpe")
    assert (
        study.search.pruner.kind,
        study.search.pruner.percentile,
        study.search.pruner.warmup,
    ) == ("median", 60, 0.5)


def test_another_model_is_another_study(file: Path):
    """Another model than the file's has its own space and name, and nothing of the file is enqueued."""
    written(file.parent, enqueue=[{"model": {"alpha": 0.25}}])
    study = StudyDefinition.load(str(file), model="blade_released")
    assert (study.name, study.model, study.enqueue) == ("mine-blade_released", "blade_released", ())
    assert "model.early_dropout" in study.space.free
    assert StudyDefinition.load(str(file), model="blade").name == "mine"


@pytest.mark.parametrize("text", ["search: 5", "train: [1]", "search: fast"])
def test_a_section_that_is_no_mapping_is_refused(tmp_path: Path, text: str):
    """A section of another kind is an error of its own, with and without flags."""
    path = tmp_path / "x.yaml"
    path.write_text(f"model: blade\ndata: {{}}\n{text}\n", encoding="utf-8")
    section = text.partition(":")[0]
    for flags in ({}, {"max_epochs": 3, "search": {"trials": 3}}):
        with pytest.raises(ConfigError, match=rf"x\.yaml: {section} must be a mapping, got"):
            StudyDefinition.load(str(path), **flags)
