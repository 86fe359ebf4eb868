"""Defaults that changed: studies and bundles of before mean what they meant."""

from pathlib import Path
from typing import Any

import pytest

from blade_tune.errors import StudyDiffersError
from blade_tune.models import config_class
from blade_tune.models.build import build_model
from blade_tune.models.settings.earlier import EARLIER, defaults_then
from blade_tune.space import nest
from blade_tune.spec.definition import StudyDefinition
from blade_tune.spec.fingerprint import fingerprint, require_same
from blade_tune.storage.trial_record import attributes
from blade_tune.study.create import open_study
from blade_tune.study.workspace import Workspace
from tests.builders import make_catalog
from tests.tiny import content, stored, tiny_data

# Settings that these models did not have before
YOUNG = {
    "cl4srec": ("outer_norm", "activation", "positions", "init"),
    "dymus": (),
    "dymus_plus": (),
}


def define(model: str, **space: Any) -> StudyDefinition:
    """A tiny study of a model whose space says hardly anything."""
    asked = content()
    group = {"embedding_size": 8, "max_length": 6, "dropout": {"choice": [0.1, 0.2]}, **space}
    return StudyDefinition.from_mapping(
        "tiny", {**asked, "model": model, "space": {"model": group}}, "test"
    )


def before(definition: StudyDefinition) -> dict[str, Any]:
    """The fingerprint as the version before the change stored it."""
    identity = fingerprint(definition, "data-hash")
    space = definition.space
    earlier = {
        f"model.{field}": value
        for field, value in EARLIER[definition.model].items()
        if f"model.{field}" not in {**space.fixed, **space.free}
    }
    young = {f"model.{field}" for field in YOUNG[definition.model]}
    known = {**identity["space"], **earlier}
    return {**identity, "space": {name: known[name] for name in known if name not in young}}


@pytest.mark.parametrize("model", EARLIER)
def test_earlier_values_are_allowed_and_others_than_today_s(model: str):
    """Each names a field of the model, a value that it takes, and not today's default."""
    config = config_class(model)
    config(**EARLIER[model])
    assert all(config.model_fields[name].default != value for name, value in EARLIER[model].items())


@pytest.mark.parametrize("model", EARLIER)
def test_a_study_of_before_keeps_its_defaults(model: str):
    """Read with its fingerprint it has what held then, where its own space says nothing; without, today's."""
    definition = define(model)
    again = StudyDefinition.from_stored(
        "tiny", definition.to_mapping(), before(definition)["space"]
    )
    fixed = nest(again.space.fixed)["model"]
    own = {"dropout"}  # which its space searches
    assert {name: fixed[name] for name in EARLIER[model] if name not in own} == {
        name: value for name, value in EARLIER[model].items() if name not in own
    }
    assert again.space.free == definition.space.free
    today = fingerprint(definition, "data-hash")["space"]
    same = StudyDefinition.from_stored("tiny", definition.to_mapping(), today)
    assert same.to_mapping() == definition.to_mapping()


@pytest.mark.parametrize("model", EARLIER)
def test_a_study_of_before_is_told_of_the_difference(model: str):
    """Its file, read now, is another study, and the refusal names the settings whose defaults changed."""
    definition = define(model)
    with pytest.raises(StudyDiffersError) as error:
        require_same(before(definition), definition, "data-hash")
    named = {line.split(":")[0].strip() for line in str(error.value).splitlines()[1:-1]}
    assert named == {f"space.model.{name}" for name in EARLIER[model] if name != "dropout"}


@pytest.mark.parametrize("model", EARLIER)
def test_what_was_fixed_is_the_same_study(model: str):
    """Where a study of before said itself what the default was, and so does its file, nothing is refused."""
    said = {name: value for name, value in EARLIER[model].items() if name != "dropout"}
    definition = define(model, **said)
    require_same(before(definition), definition, "data-hash")


def test_runs_of_before_go_on(tmp_path: Path):
    """The runs of a study are given whole configurations, so they open under other defaults, and are as they were."""
    place, data = Workspace.at(None, tmp_path), tiny_data(tmp_path)
    definition = define("cl4srec")
    search = open_study(definition, data, place).study
    search.set_user_attr("fingerprint", {**before(definition), "data": data.data_hash})
    runs = open_study(stored(tmp_path).definition.of_runs(), data, place).study
    of_runs = {**before(define("cl4srec").of_runs()), "data": data.data_hash}
    runs.set_user_attr("fingerprint", of_runs)
    runs.set_user_attr("budget", 1)
    given = {"values": {"model.embedding_size": 8, "model.dropout": 0.2}, "seed": 1}
    runs.add_trial(_waiting(attributes(given=given)))

    again = open_study(stored(tmp_path).definition.of_runs(), data, place)
    [run] = again.trials
    settings = nest(again.values(run))["model"]
    assert settings == {**EARLIER["cl4srec"], "embedding_size": 8, "dropout": 0.2}
    model = build_model("cl4srec", settings, make_catalog(), "test")
    assert "final_norm.weight" in model.state_dict()


def _waiting(attrs: dict[str, Any]) -> Any:
    import optuna

    return optuna.create_trial(state=optuna.trial.TrialState.WAITING, user_attrs=attrs)


def test_a_bundle_s_fingerprint_says_what_held():
    """What a fingerprint has is taken from it, a free range is none, and what it lacks is what was done before."""
    today = config_class("cl4srec").model_fields
    assert defaults_then("cl4srec", {f"model.{name}": today[name].default for name in today}) == {}
    assert defaults_then("cl4srec", {}) == EARLIER["cl4srec"]
    searched = {"model.loss": {"choice": ["bce", "ce"]}, "model.ffn_multiple": 2}
    assert defaults_then("cl4srec", searched) == {
        name: value
        for name, value in {**EARLIER["cl4srec"], "ffn_multiple": 2}.items()
        if name != "loss"
    }
    assert defaults_then("blade", {}) == {}
