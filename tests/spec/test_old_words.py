"""Study files and stored definitions of earlier versions: words that changed, and settings that are gone."""

import json
from pathlib import Path
from typing import Any

import pytest

from blade_tune.config import write_yaml
from blade_tune.errors import ConfigError, StudyDiffersError
from blade_tune.spec.definition import StudyDefinition
from blade_tune.spec.old_words import modernized
from blade_tune.study.create import open_study
from blade_tune.study.workspace import Workspace
from tests.tiny import content, define, stored, tiny_data

STORED: dict[str, Any] = {  # as version 0.1.0 of November 2026 stored the tiny study
    "model": "blade",
    "space": {
        "model": {
            "embedding_size": 8,
            "max_length": 6,
            "num_blocks": 1,
            "num_experts": 1,
            "num_heads": {"choice": [1, 2]},
            "alpha": {"float": [0.0, 1.0], "step": 0.25},
            "lambda_": {"float": [0.01, 1.0], "log": True},
        },
        "train": {
            "batch_size": 16,
            "max_epochs": 2,
            "eval_every": 1,
            "patience": 9,
            "plateau_schedule": True,
        },
    },
    "data": {
        "name": "tiny",
        "source": "synthetic",
        "behaviors": ["click", "like", "share", "follow"],
        "auxiliary": "click",
        "long_tail": [],
        "num_users": 30,
        "num_items": 40,
        "num_clusters": 5,
        "min_length": 6,
        "max_length": 9,
        "noise": 0.1,
        "skew": 0.5,
        "seed": 2026,
        "shuffle_sets": False,
    },
    "objective": {"metric": "ndcg@10", "exclude": "window", "target_set": "truth"},
    "search": {
        "trials": 3,
        "sampler": "tpe",
        "pruner": {
            "kind": "none",
            "percentile": 75.0,
            "startup_trials": 10,
            "warmup": 0.2,
            "audit": 0.05,
            "reduction_factor": 3,
        },
        "seed": 2026,
    },
    "enqueue": [],
    "given": False,
    "members": [],
}


def test_a_definition_of_an_earlier_version_opens():
    """It has the schedule that it was run with, all else as it was, and the published recipe."""
    study = StudyDefinition.from_stored("tiny", STORED)
    assert study.train.schedule == "plateau"
    assert study.recipe == "published"
    expected = define(
        train={"max_epochs": 2, "eval_every": 1, "patience": 9, "schedule": "plateau"}
    )
    assert study.to_mapping() == expected.to_mapping()


def test_a_database_of_an_earlier_version_opens(tmp_path: Path):
    """A stored study whose definition has the old words opens with the schedule that they mean."""
    open_study(define(), tiny_data(tmp_path), Workspace.at(None, tmp_path))
    stored(tmp_path).study.set_user_attr("definition", STORED)
    assert stored(tmp_path).definition.train.schedule == "plateau"


@pytest.mark.parametrize(("old", "new"), [(True, "plateau"), (False, "constant")])
def test_old_words_are_read_in_both_places(tmp_path: Path, old: bool, new: str):
    """In a file's train section and in the train group of a space that is written out."""
    in_section = content(train__plateau_schedule=old)
    in_space = content(space__train__plateau_schedule=old)
    for written in (in_section, in_space):
        path = tmp_path / "mine.yaml"
        path.write_text(write_yaml(written), encoding="utf-8")
        study = StudyDefinition.load(str(path))
        assert study.space.fixed["train.schedule"] == new
        assert "train.plateau_schedule" not in study.space.fixed


def test_what_is_modern_stays_and_nothing_is_written_to():
    """Today's words are left alone; what was read is as it was."""
    before = json.dumps(STORED)
    assert modernized(content()) == content()
    assert modernized(modernized(STORED)) == modernized(STORED)
    assert json.dumps(STORED) == before


def test_a_study_of_an_earlier_version_goes_on(tmp_path: Path):
    """Its identity, in the old words and without the settings of today, is that of its file read now."""
    place = Workspace.at(None, tmp_path)
    train = {**content()["train"], "plateau_schedule": True}
    open_study(define(train=train), tiny_data(tmp_path), place)
    before = stored(tmp_path)
    identity = before.study.user_attrs["fingerprint"]
    space = {name: value for name, value in identity["space"].items() if name != "model.item_init"}
    space["train.plateau_schedule"] = space.pop("train.schedule") == "plateau"
    before.study.set_user_attr("fingerprint", {**identity, "space": space})
    before.study.set_user_attr("definition", STORED)
    open_study(define(train=train), tiny_data(tmp_path), place)
    with pytest.raises(
        StudyDiffersError, match=r"space\.train\.schedule: stored 'plateau', now 'constant'"
    ):
        open_study(define(), tiny_data(tmp_path), place)


def test_both_words_cannot_stand_together():
    """Where old and new word say different things there is no telling which was meant."""
    with pytest.raises(ConfigError, match="plateau_schedule"):
        define(train__plateau_schedule=True, train__schedule="constant")


@pytest.mark.parametrize("value", ["yes", 1, {"choice": [True, False]}])
def test_other_values_are_refused(value: Any):
    """What was never a value of it is none of today's setting."""
    with pytest.raises(ConfigError, match=r"schedule must be 'constant' or 'plateau', got"):
        define(space__train__plateau_schedule=value)


IDLE = {"optimizer": "adamw", "averaging": 0.0, "clip_norm": 0.0, "warmup_steps": 0}


def test_a_setting_that_is_gone_may_stand_where_it_did_nothing(tmp_path: Path):
    """A study from when it was there opens, and goes on as the same study."""
    place = Workspace.at(None, tmp_path)
    open_study(define(), tiny_data(tmp_path), place)
    before = stored(tmp_path)
    identity, definition = (
        before.study.user_attrs["fingerprint"],
        before.study.user_attrs["definition"],
    )
    space = definition["space"]
    idle = {**identity["space"], **{f"train.{name}": value for name, value in IDLE.items()}}
    before.study.set_user_attr("fingerprint", {**identity, "space": idle})
    before.study.set_user_attr(
        "definition", {**definition, "space": {**space, "train": {**space["train"], **IDLE}}}
    )
    open_study(define(), tiny_data(tmp_path), place)
    assert stored(tmp_path).definition.space.canonical() == define().space.canonical()


@pytest.mark.parametrize(
    "busy",
    [
        {"averaging": 0.9},
        {"clip_norm": 1.0},
        {"warmup_steps": 9},
        {"optimizer": "adamw", "weight_decay": 0.1},
    ],
)
def test_a_setting_that_is_gone_and_did_something_is_refused(busy: dict[str, Any]):
    """What cannot be trained any more is not trained as something else."""
    mapping = {
        **STORED,
        "space": {**STORED["space"], "train": {**STORED["space"]["train"], **busy}},
    }
    with pytest.raises(ConfigError, match=f"unknown train key {next(iter(busy))}"):
        StudyDefinition.from_stored("tiny", mapping)
