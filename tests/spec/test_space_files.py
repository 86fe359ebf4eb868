"""Space files: what is included, what only the published recipe varies, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from blade_tune.config import write_yaml
from blade_tune.errors import ConfigError
from blade_tune.space import Space
from blade_tune.spec.space_files import load_space

BLOCK = {"model": {"a": {"choice": [1, 2]}, "b": {"float": [0.0, 1.0]}}, "train": {"c": 5}}
MORE = {"model": {"b": 7}, "train": {"d": {"int": [1, 3]}}}
OWN = {"model": {"x": {"choice": [1, 2]}, "a": 3}}
PUBLISHED = {"model": {"p": {"choice": [8, 9]}}, "train": {"q": 1}}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with two blocks among its search spaces."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "search_spaces").mkdir()
    for name, block in (("block", BLOCK), ("more", MORE)):
        (tmp_path / "search_spaces" / f"{name}.yaml").write_text(
            write_yaml(block), encoding="utf-8"
        )


def read(content: Any, recipe: Any = "shared") -> Space:
    Path("mine.yaml").write_text(
        content if isinstance(content, str) else write_yaml(content), encoding="utf-8"
    )
    return load_space(Path("mine.yaml"), recipe)


def of(mapping: Any) -> dict[str, Any]:
    return Space.from_mapping(mapping, "twin").canonical()


def test_a_file_alone_is_a_space():
    """Without either section the file is the space, under each recipe, and its place is the file."""
    for recipe in ("shared", "published"):
        assert read(BLOCK, recipe).canonical() == of(BLOCK)
        assert read(BLOCK, recipe).place == "mine.yaml"


@pytest.mark.parametrize("include", ["block", ["block"], "search_spaces/block.yaml"])
def test_a_block_is_included(include: Any):
    """By name, by a list of names or by path; the file's own parameters win, one by one, and stand first."""
    space = read({**OWN, "include": include})
    assert space.canonical() == of(
        {"model": {**OWN["model"], "b": BLOCK["model"]["b"]}, "train": BLOCK["train"]}
    )
    assert list(space.free) == ["model.x", "model.b"]


def test_of_several_blocks_the_first_wins():
    """Each adds what neither the file nor an earlier block has."""
    space = read({**OWN, "include": ["block", "more"]})
    model = {**OWN["model"], "b": BLOCK["model"]["b"]}
    assert space.canonical() == of({"model": model, "train": {**BLOCK["train"], **MORE["train"]}})
    other_way = read({**OWN, "include": ["more", "block"]})
    assert other_way.fixed["model.b"] == 7


def test_the_published_section_takes_the_place_of_blocks():
    """Under published nothing is included, and what is published wins over own parameters; under shared it is none."""
    content = {**OWN, "include": "block", "published": PUBLISHED}
    published = read(content, "published")
    assert published.canonical() == of(
        {"model": {**OWN["model"], **PUBLISHED["model"]}, "train": PUBLISHED["train"]}
    )
    shared = read(content)
    assert not {"model.p", "train.q"} & shared.canonical().keys()
    over = {**content, "published": {"model": {"x": {"choice": [5]}}}}
    assert read(over, "published").canonical() == of(
        {**OWN, "model": {**OWN["model"], "x": {"choice": [5]}}}
    )


def test_what_a_study_fixes_wins_over_a_block():
    """Training settings of a study take the place of a block's, but of nothing in the file itself or as published."""
    Path("mine.yaml").write_text(
        write_yaml({**OWN, "include": "more", "published": MORE}), encoding="utf-8"
    )
    fixed = load_space(Path("mine.yaml"), "shared", {"d": 2, "e": 1})
    assert (fixed.fixed["train.d"], fixed.fixed.get("train.e")) == (2, None)
    assert list(fixed.free) == ["model.x"]
    assert "train.d" in load_space(Path("mine.yaml"), "published", {"d": 2}).free
    Path("mine.yaml").write_text(
        write_yaml({"train": MORE["train"], "include": "more"}), encoding="utf-8"
    )
    assert "train.d" in load_space(Path("mine.yaml"), "shared", {"d": 2}).free


def test_a_condition_may_be_on_an_included_parameter():
    """What is included stands after what the file has, so a block's parameter may wait for the file's."""
    block = {"model": {"b": {"choice": [1, 2], "when": {"x": [1]}}}}
    Path("search_spaces/block.yaml").write_text(write_yaml(block), encoding="utf-8")
    assert read({**OWN, "include": "block"}).free["model.b"].when == {"model.x": (1,)}


@pytest.mark.parametrize(
    "empty", ["include:\npublished:\n", "include: []\npublished: {}\n", "train:\ninclude: more\n"]
)
def test_an_empty_section_says_nothing(empty: str):
    """A section with nothing under it may stand in a file."""
    space = read(f"model: {{x: 1}}\n{empty}")
    assert space.fixed["model.x"] == 1


@pytest.mark.parametrize(
    ("changes", "recipe", "message"),
    [
        (
            {"include": "blokc"},
            "shared",
            "no file blokc.yaml in ./search_spaces or in the package. Did you mean block?",
        ),
        (
            {"include": 3},
            "shared",
            "mine.yaml: include must be the name of a space or a list of names, got 3.",
        ),
        (
            {"include": ["block", 3]},
            "published",
            "mine.yaml: include must be the name of a space or a list of names,",
        ),
        (
            {"include": {"block": 1}},
            "shared",
            "mine.yaml: include must be the name of a space or a list of names, got",
        ),
        (
            {"include": "block", "model": [1]},
            "shared",
            "mine.yaml: include block: model must be a mapping of parameters.",
        ),
        (
            {"published": 3},
            "published",
            "mine.yaml: published must have groups of parameters, got 3.",
        ),
        (
            {"published": ["model"]},
            "published",
            "mine.yaml: published must have groups of parameters, got ['model'].",
        ),
        (
            {"published": {"model": 3}},
            "published",
            "mine.yaml: published: model must be a mapping of parameters.",
        ),
    ],
)
def test_what_is_no_block_is_refused(changes: dict[str, Any], recipe: str, message: str):
    """A wrong name or kind is refused with its place and the law."""
    with pytest.raises(ConfigError) as error:
        read({**OWN, **changes}, recipe)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("section", [{"include": "more"}, {"published": PUBLISHED}])
def test_blocks_are_one_deep(section: dict[str, Any]):
    """A space that includes, or varies by recipe, is none to include."""
    Path("search_spaces/block.yaml").write_text(write_yaml({**BLOCK, **section}), encoding="utf-8")
    with pytest.raises(
        ConfigError, match=f"^mine.yaml: block cannot be included, for it has {min(section)} itself"
    ):
        read({**OWN, "include": "block"})
