"""Published settings: declared once, tried first in a comparison, and trained as they are where the space has none."""

from pathlib import Path
from typing import Any

import pytest

from blade_tune.config import parse
from blade_tune.errors import ConfigError
from blade_tune.models import MODELS
from blade_tune.parameter import Value
from blade_tune.search.samplers import build_sampler
from blade_tune.selection.compare import Budget, HowTrained, define, published_trial
from blade_tune.spec.definition import StudyDefinition, config_classes, is_fitted
from blade_tune.spec.published import (
    LENGTH,
    OF_STUDIES,
    TAG,
    published_entries,
    published_length,
    published_models,
)
from blade_tune.storage.trial_record import Given, TrialRecord
from blade_tune.study.create import open_study
from blade_tune.study.workspace import Workspace
from blade_tune.training.config import TrainConfig
from tests.tiny import content, stored, tiny_data

NEURAL = [name for name in MODELS if not is_fitted(name)]
BUDGET = Budget(5, 1, 2)
DATA = ("kuaisar", "qk-article", "qk-video")


def test_every_neural_model_but_blade_has_published_settings():
    """BLADE's paper has ranges only; each other model's settings are ones that it takes, with a source."""
    assert set(published_models()) == set(NEURAL) - {"blade"}
    for model, entry in published_models().items():
        assert entry.source
        configs: Any = config_classes(model)
        parse(TrainConfig, entry.train, model, strict=True)
        for setting in entry.settings.values():
            parse(configs["model"], setting.model, model, strict=True)


def test_data_without_settings_has_none():
    """A data set has its own, else those for any data, else none."""
    assert published_entries("eidp", "mine") == published_entries("blade", "qk-video") == []
    [any_data] = published_entries("sasrec", "mine")
    assert [any_data] == published_entries("sasrec", "qk-video")
    article, video = (published_entries("eidp", data)[0]["model"] for data in DATA[1:])
    assert (article["sampling_factor"], video["sampling_factor"]) == (12, 8)
    assert any_data["tag"] == TAG
    assert not set(any_data["train"]) & set(LENGTH)
    assert published_length("dymus", "mine")["max_epochs"] == 500
    assert published_length("eidp", "mine") == published_length("blade", "qk-video") == {}


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("recipe", ["shared", "published"])
def test_a_comparison_tries_them(data: str, recipe: Any):
    """Whether the space has the point or not, its configuration is the published one, with the study's epochs."""
    for definition in define(data, NEURAL, BUDGET, HowTrained(recipe)):
        entries = published_entries(definition.model, data)
        found = [index for index, entry in enumerate(definition.enqueue) if entry.tag == TAG]
        assert len(found) == len(entries)
        for index in found:
            tried = definition.given_whole(index)
            if tried is None:
                params = definition.enqueued_params(index)
                tried = definition.complete({**definition.space.fixed, **params}, "test")
            asked = definition.enqueue[index].values
            assert {name: tried[name] for name in asked} == asked
            assert tried["train.max_epochs"] == definition.train.max_epochs
        if recipe == "published":
            train = definition.train.model_dump()
            length = published_length(definition.model, data)
            assert {name: train[name] for name in length} == length


@pytest.mark.parametrize("data", DATA)
def test_a_released_study_trains_as_published(data: str):
    """What the study files fix is what the declaration says, and their published setting is a point of the space."""
    study = StudyDefinition.load(f"{data}-released")
    train = study.train.model_dump()
    length = published_length("blade_released", data)
    assert {name: train[name] for name in OF_STUDIES if name in length} == length
    assert study.given_whole(0) is None


def test_a_comparison_s_loss_and_epochs_win():
    """`--loss` is that of the published trial too, and `--epochs` the length of every search."""
    training = HowTrained("published", "sampled_softmax")
    for definition in define("qk-video", ["dymus", "eidp"], Budget(5, 1, 2, 7), training):
        assert definition.enqueue[1].model["loss"] == "sampled_softmax"
        assert definition.train.max_epochs == 7


def test_what_is_one_configuration_is_tried_once():
    """Where a model's defaults are its published setting, there is one trial of both, and it has the tag."""
    [released, _] = define("qk-video", ["blade_released", "blade"], BUDGET, HowTrained("published"))
    assert [entry.tag for entry in released.enqueue] == [TAG]


def tiny(**entry: Any) -> StudyDefinition:
    asked = content(enqueue=[{"tag": TAG, "whole": True, "model": entry}])
    return StudyDefinition.from_mapping("tiny", asked, "tiny.yaml")


INSIDE: dict[str, Value] = {
    "embedding_size": 8, "max_length": 6, "num_blocks": 1, "num_experts": 1, "alpha": 0.5, "lambda_": 0.1,
}  # fmt: skip


def test_a_point_of_the_space_is_one(tmp_path: Path):
    """A whole configuration that the space has becomes parameters, from which the sampler learns."""
    definition = tiny(**INSIDE)
    batch = {"train": {"batch_size": 16}}
    asked = content(enqueue=[{"tag": TAG, "whole": True, "model": INSIDE, **batch}])
    definition = StudyDefinition.from_mapping("tiny", asked, "tiny.yaml")
    assert definition.given_whole(0) is None
    assert definition.enqueued_params(0) == {
        "model.num_heads": 2, "model.alpha": 0.5, "model.lambda_": 0.1,
    }  # fmt: skip
    found = published_trial(
        open_study(definition, tiny_data(tmp_path), Workspace.at(None, tmp_path))
    )
    assert found is not None
    assert Given.of(found) is None


OUTSIDE: list[dict[str, Value]] = [
    {**INSIDE, "alpha": 0.3},  # off the steps
    {**INSIDE, "num_blocks": 2},  # fixed
    {**INSIDE, "tau": 0.7},  # not in the space at all
    {},  # defaults that the space does not have
]


@pytest.mark.parametrize("model", OUTSIDE)
def test_what_lies_outside_the_space_is_given_whole(tmp_path: Path, model: dict[str, Value]):
    """It is trained as it is, with the study's epochs, and its row is there once, however often the study is opened."""
    definition = tiny(**model)
    whole = definition.given_whole(0)
    assert whole is not None
    assert definition.enqueued_params(0) == {}
    assert whole["train.max_epochs"] == definition.train.max_epochs
    for _ in range(2):
        study = open_study(definition, tiny_data(tmp_path), Workspace.at(None, tmp_path))
    assert len(study.trials) == 1
    found = published_trial(study)
    assert found is not None
    assert study.values(found) == whole
    again = StudyDefinition.from_stored("tiny", stored(tmp_path).definition.to_mapping())
    assert again.given_whole(0) == whole


def test_a_whole_configuration_is_checked():
    """A name or value that the model does not take is refused before anything runs."""
    with pytest.raises(ConfigError, match="alpha"):
        tiny(alpha=2.0)


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "gp"])
def test_a_sampler_sees_only_what_was_proposed(tmp_path: Path, sampler: str):
    """With a completed given row in the study, proposals are those of a study without it, but for their numbers."""
    import optuna

    study = open_study(tiny(), tiny_data(tmp_path), Workspace.at(None, tmp_path)).study
    search = tiny().search.model_copy(update={"sampler": sampler})
    plain = optuna.create_study(direction="maximize")
    plain.add_trial(optuna.create_trial(state=optuna.trial.TrialState.FAIL))
    space = tiny().space
    study.sampler, plain.sampler = (build_sampler(search, space) for _ in range(2))
    given = study.ask()
    assert TrialRecord(given).tag == TAG
    study.tell(given, 9.0)
    proposals = []
    for each in (study, plain):
        found = []
        for index in range(14):
            trial = each.ask()
            found.append(space.suggest(trial))
            each.tell(trial, float(index % 5))
        proposals.append(found)
    assert proposals[0] == proposals[1]
