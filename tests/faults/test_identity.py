"""A study that asks another question than the stored one is refused before it begins."""

import copy
from pathlib import Path
from typing import Any

import pytest

from blade_tune.data.store import prepare
from blade_tune.spec.definition import StudyDefinition
from blade_tune.study.create import open_study
from blade_tune.study.workspace import Workspace
from tests.cli.program import TINY, call
from tests.faults.fleet import Fleet

CHANGES: dict[str, tuple[list[str], Any]] = {
    "choice": (["space", "model", "augmentation"], {"choice": ["add", "mask", "flip"]}),
    "range": (["space", "train", "learning_rate"], {"float": [1e-3, 1e-1], "log": True}),
    "data": (["data", "num_users"], 41),
    "metric": (["objective", "metric"], "ndcg@5"),
}


def changed(place: list[str], value: Any) -> dict[str, Any]:
    """The section of the tiny study that a change is in."""
    content = copy.deepcopy({"objective": {}, **TINY})
    *parents, key = place
    section = content
    for parent in parents:
        section = section[parent]
    section[key] = value
    return {place[0]: content[place[0]]}


@pytest.mark.parametrize("change", CHANGES)
def test_another_question_is_refused_before_the_first_row(fleet: Fleet, monkeypatch, change):
    """A changed choice, range, data or metric ends the run in 3; the message names the field, and no row is added."""
    monkeypatch.chdir(fleet.folder)
    fleet.define(2)
    definition = StudyDefinition.load("tiny")
    open_study(
        definition,
        prepare(definition.data, None, fleet.results),
        Workspace(fleet.url, fleet.results),
    )
    place, value = CHANGES[change]
    fleet.define(2, **changed(place, value))
    ended = call("run", "--study", "tiny", cwd=Path())
    assert ended.code == 3, ended.err
    named = ".".join(place[1:] if place[0] == "space" else place)
    assert named in ended.err or (change == "data" and "data:" in ended.err)
    assert fleet.rows == []
