"""What a check of a space constructs: every point that can be counted, in the types of the settings."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from blade_tune.config import read_yaml
from blade_tune.errors import ConfigError
from blade_tune.space import Space, nest
from blade_tune.spec import space_check
from blade_tune.spec.definition import StudyDefinition
from tests.cli.program import TINY, call
from tests.test_space import CONFIGS, Model, configurations

SIZES = st.sampled_from(
    [16, 20, 32, {"choice": [16, 32]}, {"int": [16, 24], "step": 4}, {"int": [8, 16]}]
)
HEADS = st.sampled_from(
    [
        2,
        True,
        "2",
        2.0,
        {"int": [1, 8]},
        {"int": [2, 4], "step": 2},
        {"float": [1.0, 2.0], "step": 1.0},
        {"choice": [1, 2, 4]},
        {"choice": ["1", "2"]},
        {"choice": [1, "1"]},
        {"choice": [1, 3]},
        {"choice": [2.0, 4.0]},
    ]
)
ALPHAS = st.sampled_from(
    [
        0,
        0.5,
        "0.5",
        {"float": [0.0, 1.0], "step": 0.25},
        {"int": [0, 1]},
        {"choice": [0, 0.5]},
        {"choice": [0.5, 2.0]},
    ]
)
KINDS = st.sampled_from(
    ["add", {"choice": ["add", "mask"]}, {"choice": ["add", "flip"]}, {"choice": ["add", 1]}]
)


@st.composite
def countable_spaces(draw: st.DrawFn) -> Space:
    """Spaces without a continuous range, right and wrong ones."""
    drawn = {"size": SIZES, "heads": HEADS, "alpha": ALPHAS, "kind": KINDS}
    model = {name: draw(entries) for name, entries in drawn.items() if draw(st.booleans())}
    if (
        isinstance(model.get("kind"), dict)
        and isinstance(model.get("heads"), dict)
        and draw(st.booleans())
    ):
        model = {"kind": model.pop("kind"), **model}
        model["heads"] = {**model["heads"], "when": {"kind": ["add"]}}
    return Space.from_mapping({"model": model}, "space.yaml")


def runs(values: dict[str, Any]) -> bool:
    """Whether a trial of a configuration could be built, each value being of the type of its field."""
    try:
        Model.model_validate(nest(values).get("model", {}), strict=True)
    except ValidationError:
        return False
    return True


@given(searched=countable_spaces(), most=st.sampled_from([20_000, 3]))
def test_a_space_passes_if_and_only_if_every_point_can_run(searched: Space, most: int) -> None:
    """What passes constructs at each of its points, by walking them as a search does; what is refused fails at one."""
    can_run = all(runs(values) for values in configurations(searched))
    try:
        found = space_check.check_space(searched, CONFIGS, most)
    except ConfigError:
        assert not can_run
        return
    assert found.constructed == found.total or most == 3
    assert can_run or found.constructed < found.total


@pytest.mark.parametrize(
    ("entry", "law"),
    [
        ("num_blocks: {float: [1, 3]}", "num_blocks must be a valid integer, got 1.0"),
        ("num_heads: {int: [1, 8]}", "embedding_size must be divisible by num_heads, got 32 and 3"),
        ('num_heads: {choice: [1, "1"]}', "num_heads must be a valid integer, got '1'"),
        ('num_blocks: {choice: ["1", "2"]}', "num_blocks must be a valid integer, got '1'"),
        ("num_blocks: '2'", "num_blocks must be a valid integer, got '2'"),
        ("num_blocks: true", "num_blocks must be a valid integer, got True"),
        (
            "max_length: {int: [10, 1:30]}",
            "must be a valid integer, unable to parse string as an integer, got '1:30'",
        ),
        ("alpha: {choice: [0.5, .nan]}", "a choice must be finite"),
    ],
)
def test_the_command_refuses_what_cannot_run(tmp_path: Path, entry: str, law: str) -> None:
    """A range of another type, a point between the ends, text for a number, a number that is other than it looks."""
    (tmp_path / "mine.yaml").write_text(
        f"model: {{embedding_size: 32, {entry}}}\n".replace("32, embedding_size: ", "")
    )
    ended = call("space", "check", "./mine.yaml", "--model", "blade", cwd=tmp_path)
    assert (ended.code, ended.out, "Traceback" in ended.err) == (2, "", False)
    assert law in ended.err


def test_the_command_says_how_much_it_has_constructed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All combinations where there are few, else so many of them."""
    (tmp_path / "mine.yaml").write_text(
        "model: {num_blocks: {choice: [1, 2]}, alpha: {float: [0.0, 1.0], step: 0.1}}"
    )
    words = ("space", "check", "./mine.yaml", "--model", "blade")
    assert (
        "22 configurations.\nconstructed: all 22 combinations of points."
        in call(*words, cwd=tmp_path).out
    )
    monkeypatch.setattr("blade_tune.cli.space.MOST", 16)
    assert "a sample of 7 of 22 combinations" in call(*words, cwd=tmp_path).out


def test_a_sample_has_every_point_and_every_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many combinations there are: a rule between two fields is noticed, wherever it is broken."""
    monkeypatch.setattr(space_check, "FEW", 3)
    tried: list[list[Any]] = [list(range(3)), ["a", "b"], list(range(100))]
    pairs = {(a, b) for a in range(3) for b in ("a", "b")} | {
        (a, c) for a in range(3) for c in (0, 49, 99)
    }
    found = [draw for draw, _ in zip(space_check._sample(tried), range(60), strict=False)]
    assert pairs <= {(a, b) for a, b, _ in found} | {(a, c) for a, _, c in found}
    assert all(draw[place] in tried[place] for draw in found for place in range(3))


def test_a_stored_space_of_before_still_opens() -> None:
    """A study that was run with points that no check would pass now is read as it is stored."""
    wrong = {**TINY, "space": {"model": {"embedding_size": 32, "num_heads": {"int": [1, 8]}}}}
    with pytest.raises(ConfigError, match="must be divisible"):
        StudyDefinition.from_mapping("tiny", wrong, "tiny.yaml")
    assert StudyDefinition.from_stored("tiny", wrong).space.count() == 8


NUMBERS = {
    "0x10": 16, "0o17": 15, "1_000": 1000, "0": 0, "'020'": "020", "1e-3": 0.001, "012.5": 12.5, "08": 8, "020": 20,
    "1:30": "1:30", "yes": "yes",
}  # fmt: skip


@pytest.mark.parametrize("text", NUMBERS)
def test_numbers_are_what_they_look(tmp_path: Path, text: str) -> None:
    """As YAML 1.2 has them: 020 is twenty, 1:30 and yes are text."""
    (tmp_path / "a.yaml").write_text(f"a: {text}")
    assert read_yaml(tmp_path / "a.yaml")["a"] == NUMBERS[text]
