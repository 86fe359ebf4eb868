"""A study's identity and its seeds."""

from typing import Any

import pytest

from blade_tune.errors import StudyDiffersError
from blade_tune.spec import fingerprint as module
from blade_tune.spec.fingerprint import fingerprint, require_same, sampler_seed, training_seed
from tests.tiny import define

OTHER_STUDIES = {
    "space.model.alpha": {"space__model__alpha": {"float": [0.0, 1.0], "step": 0.5}},  # a range
    "space.model.num_heads": {"space__model__num_heads": {"choice": [1, 2, 4]}},  # a choice
    "space.model.lambda_": {"space__model__lambda_": {"float": [0.01, 1.0]}},  # its scale
    "space.model.embedding_size": {"space__model__embedding_size": 16},
    "space.model.tau": {"space__model__tau": 0.5},  # what stood at its default
    "space.train.max_epochs": {"train__max_epochs": 3},
    "space.train.eval_every": {"train__eval_every": 2},
    "space.train.patience": {"train__patience": 8},
    "seed": {"search__seed": 1},
    "objective.metric": {"objective": {"metric": "hr@10"}},
    "objective.exclude": {"objective": {"exclude": "full"}},
    "objective.target_set": {"objective": {"target_set": "constant"}},
}
SAME_STUDIES: list[dict[str, Any]] = [
    {"search__trials": 99},
    {"search__sampler": "random"},
    {"search__pruner": {"kind": "median", "warmup": 0.5}},
    {"enqueue": [{"model": {"alpha": 0.5}}]},
    {"space__model__tau": 0.3},  # the default, written out
    {"space__model__alpha": {"float": [0, 1], "step": 0.25, "log": False}},
    {"objective": {"metric": "ndcg@10", "exclude": "window"}},
]


def identity(**changes: Any) -> dict[str, Any]:
    return fingerprint(define(**changes), "data-hash")


@pytest.mark.parametrize("field", OTHER_STUDIES)
def test_another_question_is_another_study(field: str):
    """What changes a trial's value, or what is searched, changes identity; the refusal names just that field."""
    with pytest.raises(StudyDiffersError) as error:
        require_same(identity(), define(**OTHER_STUDIES[field]), "data-hash")
    first, *fields, way_out = str(error.value).splitlines()
    assert first == "study tiny was made with other settings:"
    assert [line.split(":")[0].strip() for line in fields] == [field]
    assert "stored" in fields[0]
    assert "now" in fields[0]
    assert way_out.startswith("Run it with the stored ones, or start a study of another name")


@pytest.mark.parametrize("changes", SAME_STUDIES)
def test_the_same_question_is_the_same_study(changes: dict[str, Any]):
    """Budget, sampler, pruner, what is tried first and how a value is spelled are not identity."""
    require_same(identity(), define(**changes), "data-hash")


def test_data_model_and_version_are_identity(monkeypatch: pytest.MonkeyPatch):
    """Other rows, another model or a changed objective are another study."""
    with pytest.raises(StudyDiffersError, match=r"\n  data: stored 'data-hash', now 'other'\n"):
        require_same(identity(), define(), "other")
    monkeypatch.setattr(module, "OBJECTIVE_VERSION", 99)
    with pytest.raises(StudyDiffersError, match=r"\n  objective_version: stored 1, now 99\n"):
        require_same({**identity(), "objective_version": 1}, define(), "data-hash")


def test_a_setting_younger_than_a_study_is_at_its_default_there():
    """A study from before a setting was there goes on where the setting is at its default, and nowhere else.

    `plateau_schedule` is what `schedule` was called.
    """
    before = identity()
    for young in ("model.item_init", "model.block_init", "train.schedule"):
        del before["space"][young]
    before["space"]["train.plateau_schedule"] = False
    require_same(before, define(), "data-hash")
    with pytest.raises(StudyDiffersError, match=r"model\.item_init: stored 'random', now 'ials'"):
        require_same(before, define(space__model__item_init="ials"), "data-hash")
    with pytest.raises(
        StudyDiffersError, match=r"train\.schedule: stored 'constant', now 'plateau'"
    ):
        require_same(before, define(train__schedule="plateau"), "data-hash")


def test_seeds_are_functions_of_what_they_are_for():
    """Seeds repeat exactly, differ for all else, do not depend on the order of names, and fit 32 bits."""
    values = {"model.a": 0.1, "model.b": 2}
    seeds = [
        training_seed(1, values),
        training_seed(2, values),
        training_seed(1, {**values, "model.b": 3}),
        training_seed(1, values, replicate=1),
        *(sampler_seed(study, number) for study in (1, 2) for number in (None, 0, 1)),
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert training_seed(1, dict(reversed(values.items()))) == seeds[0]
