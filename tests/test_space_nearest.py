"""The point of a space that is nearest to a configuration of another one."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blade_tune.config import parse
from blade_tune.parameter import Free
from blade_tune.space import Space
from tests.test_space import configurations
from tests.test_space_points import countable_spaces

VALUES = st.one_of(
    st.booleans(),
    st.integers(-40, 40),
    st.floats(-2.0, 40.0),
    st.sampled_from(["add", "mask", "flip", "1", "2", math.nan, math.inf]),
)
NAMES = ("model.size", "model.heads", "model.alpha", "model.kind")
CONFIGURATIONS = st.dictionaries(st.sampled_from((*NAMES, "model.unknown")), VALUES)
RANGES = (
    {"float": [0.5, 2.0]},
    {"float": [0.5, 2.0], "log": True},
    {"float": [0.5, 2.0], "step": 0.5},
    {"int": [1, 9], "step": 4},
    {"int": [1, 9], "log": True},
    {"choice": [1, 4, 16]},
    {"choice": ["pre", 2, 8]},
)


@given(searched=countable_spaces(), values=CONFIGURATIONS)
def test_what_is_nearest_is_a_point_of_the_space(searched: Space, values: dict[str, Any]) -> None:
    """Whatever the configuration is, every value that comes out may be searched together with the others."""
    nearest = searched.nearest(values)
    point = {name: value for name, value in nearest.items() if value is not None}
    assert searched.fill(point, "here") == point
    assert {name for name, value in nearest.items() if value is None} <= searched.free.keys()


@given(searched=countable_spaces(), index=st.integers(0, 99))
def test_a_point_of_the_space_is_nearest_to_itself(searched: Space, index: int) -> None:
    """A configuration that the space has is carried over as it is, in the types of the space."""
    points = list(configurations(searched))
    point = points[index % len(points)]
    free = {name: value for name, value in point.items() if name in searched.free}
    nearest = searched.nearest(point)
    assert nearest == free
    assert [type(nearest[name]) for name in free] == [type(value) for value in free.values()]


@pytest.mark.parametrize("entry", RANGES, ids=str)
@given(value=st.one_of(st.integers(-5, 30), st.floats(-5.0, 30.0)))
def test_no_value_is_nearer(entry: dict[str, Any], value: float) -> None:
    """Of all values that may be searched none is nearer to a number, tried one by one."""
    parameter = parse(Free, entry, "place")
    nearest = parameter.nearest(value)
    assert isinstance(nearest, int | float)
    assert parameter.contains(nearest)
    low, high = (0.5, 2.0) if parameter.points() is None else (math.nan, math.nan)
    tried = parameter.points() or [low + (high - low) * step / 50 for step in range(51)]
    numbers = [each for each in tried if not isinstance(each, str)]
    assert abs(nearest - value) <= min(abs(each - value) for each in numbers)


@pytest.mark.parametrize("value", [True, False, "mask", "16", math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_near_to_itself_only(value: Any) -> None:
    """A word, a truth value, or no number at all becomes no other value."""
    for entry in RANGES:
        assert parse(Free, entry, "place").nearest(value) is None
    same = parse(Free, {"choice": [True, "mask"]}, "place").nearest(value)
    assert same == (value if value in (True, "mask") else None)


def test_what_waits_for_a_value_that_is_not_taken_is_left_out() -> None:
    """A parameter is there only where its `when` holds, by the values of this space."""
    entries = {
        "kind": {"choice": ["add", "mask"]},
        "alpha": {"float": [0.0, 1.0], "when": {"kind": ["mask"]}},
    }
    searched = Space.from_mapping({"model": entries}, "space.yaml")
    alpha = {"model.alpha": 3.0}
    assert searched.nearest({"model.kind": "mask", **alpha}) == {
        "model.kind": "mask",
        "model.alpha": 1.0,
    }
    assert searched.nearest({"model.kind": "add", **alpha}) == {"model.kind": "add"}
    assert searched.nearest({"model.kind": "flip", **alpha}) == {"model.kind": None}
