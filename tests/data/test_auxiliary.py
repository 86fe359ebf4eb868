"""Which behaviors are no targets: none, one, or several, in every form that a study file may say it in."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.data.store import prepare
from blade_tune.errors import ConfigError
from blade_tune.spec.definition import StudyDefinition
from blade_tune.spec.fingerprint import fingerprint
from tests.data.examples import SPLIT_FILES, SYNTHETIC, config, write_split
from tests.tiny import DATA, define


@given(st.permutations(SPLIT_FILES["behaviors"]), st.integers(0, 3))
def test_one_meaning_of_auxiliary_has_one_form(names: list[str], count: int) -> None:
    """In any order; a list of one is the name, as files of before have it, and an empty list is null."""
    auxiliary = names[:count]
    found = config(auxiliary=auxiliary)
    in_order = [name for name in SPLIT_FILES["behaviors"] if name in auxiliary]
    written = found.model_dump(mode="json")["auxiliary"]
    assert written == ([None, *in_order[:1]][count] if count < 2 else in_order)
    assert found == config(auxiliary=written) == config(auxiliary=in_order)
    assert found.auxiliary_columns == tuple(map(SPLIT_FILES["behaviors"].index, in_order))


@pytest.mark.parametrize(("auxiliary", "number"), [(None, 0), (["click", "like"], 2)])
def test_made_up_data_have_one_auxiliary_behavior(auxiliary: list[str] | None, number: int) -> None:
    """The law speaks of exactly one."""
    with pytest.raises(
        ConfigError, match=rf"^test: auxiliary must be one behavior.* got {number}\.$"
    ):
        config(SYNTHETIC, auxiliary=auxiliary)


def test_several_auxiliary_behaviors_are_other_data_in_any_order(
    tmp_path: Path,
) -> None:
    """Named in another order they mean the same; the catalog has their columns."""
    files = write_split(tmp_path / "files")
    several = [
        prepare(config(auxiliary=names), files, tmp_path)
        for names in (["click", "share"], ["share", "click"])
    ]
    assert several[0].data_hash == several[1].data_hash != BEFORE["one"][1]
    assert several[0].catalog.auxiliary == (0, 2)
    told_K = several[0].catalog.told_set("constant")
    assert told_K is not None
    assert told_K.tolist() == [0, 1, 0, 1]


# Folder and hash of prepared data, as they were when one auxiliary behavior or none could be named
BEFORE = {
    "one": (
        "326b56ccfe52d6468fb39e97d5944d63bf2979bbf7646539676695688c8cc03c",
        "4e9cd46c8797341793d578be14cc49255aa75d0703a75c409fcbf78611bf9c2a",
    ),
    "none": (
        "b339b81d193b01cac432924100a6123c728690a2cf18b0d29488fb0fb67a97a7",
        "0e9560b6d802b81317e4c7abd8693681ca40ec8e262df120be05ab326254d475",
    ),
    "made up": (
        "a3202b74d77e4910e047709b63ae178846cf873d2987c27fc7def7d709b17990",
        "c6b596ebfe4df70e2e17c92c1644a622cc1b2080072b69bcddee2929cc3d6b6e",
    ),
}


@pytest.mark.parametrize(
    ("before", "raw"),
    [
        ("one", SPLIT_FILES),
        ("one", {**SPLIT_FILES, "auxiliary": ["click"]}),
        ("none", {**SPLIT_FILES, "auxiliary": None}),
        ("none", {**SPLIT_FILES, "auxiliary": []}),
        ("made up", DATA),
        ("made up", {**DATA, "auxiliary": ["click"]}),
    ],
)
def test_one_auxiliary_behavior_or_none_is_the_data_of_before(
    tmp_path: Path, before: str, raw: dict[str, Any]
) -> None:
    """Folder, hash, and so the fingerprint of a study: whether a list says it or, as before, the name or null."""
    definition = define(data=raw)
    files = write_split(tmp_path / "files") if raw["source"] == "split_files" else None
    data = prepare(definition.data, files, tmp_path)
    assert (data.path.name, data.data_hash) == BEFORE[before]
    assert fingerprint(definition, data.data_hash)["data"] == BEFORE[before][1]


def test_the_demo_is_the_data_of_before(tmp_path: Path) -> None:
    """So studies of it go on."""
    data = prepare(StudyDefinition.load("demo").data, None, tmp_path)
    assert data.data_hash == "eb92e9127be1a1ab932bbfca628bddb2c45c30a178e34de3a92a49988f0b21af"


@pytest.mark.parametrize("auxiliary", [None, "share", ["like", "click"]])
def test_a_study_is_stored_with_what_its_file_says(auxiliary: Any) -> None:
    """A definition comes back from its stored form with the same auxiliary behaviors."""
    definition = define(data={**SPLIT_FILES, "auxiliary": auxiliary})
    mapping = definition.to_mapping()
    assert mapping["data"]["auxiliary"] == (
        ["click", "like"] if auxiliary and auxiliary != "share" else auxiliary
    )
    assert StudyDefinition.from_stored("tiny", mapping).data == definition.data
