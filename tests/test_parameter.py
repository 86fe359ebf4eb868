"""A free parameter: its grammar, its points, and what it asks a trial for."""

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FixedTrial

from blade_tune.config import parse
from blade_tune.errors import ConfigError
from blade_tune.parameter import Free, tidy


def free(**entry) -> Free:
    return parse(Free, entry, "place")


@pytest.mark.parametrize(
    ("entry", "law"),
    [
        ({}, "must have exactly one of float, int, choice"),
        ({"float": [0, 1], "int": [0, 1]}, "must have exactly one of float, int, choice"),
        ({"choice": [1, 2], "step": 1}, "step and log go with float or int, not with choice"),
        ({"choice": [1, 2], "log": True}, "step and log go with float or int, not with choice"),
        ({"choice": []}, "choice"),
        ({"choice": [1, 2, 1]}, "a choice is given twice"),
        ({"choice": [1, 1.0]}, "a choice is given twice"),
        ({"choice": [0, False]}, "a choice is given twice"),
        ({"float": [1, 0]}, "a range goes from low to high, got [1.0, 0.0]"),
        ({"int": [3, 2]}, "a range goes from low to high, got [3, 2]"),
        ({"float": [0, 1], "log": True}, "log needs a range above 0 and no step"),
        ({"float": [1, 2], "log": True, "step": 0.5}, "log needs a range above 0 and no step"),
        ({"int": [1, 9], "step": 1.5}, "the step of an int range must be an integer"),
        ({"int": [1, 9], "step": 3}, "steps of 3 from 1 do not reach 9"),
        ({"float": [0, 1], "step": 0.3}, "steps of 0.3 from 0.0 do not reach 1.0"),
        ({"float": [0, 1], "step": 0}, "step must be greater than 0"),
        ({"float": [0, 1], "step": -0.5}, "step must be greater than 0"),
        ({"float": [0]}, "float"),
        ({"float": [0, 1, 2]}, "float"),
        ({"float": 0.5}, "float must be a valid tuple, got 0.5"),
        ({"int": [0.5, 2]}, "int.0 must be a valid integer"),
        ({"float": [0, float("nan")]}, "float.1 must be a finite number"),
        ({"float": [0, float("inf")]}, "float.1 must be a finite number"),
        ({"flaot": [0, 1]}, "unknown key flaot. Did you mean float?"),
        ({"choice": [1], "wehn": {}}, "unknown key wehn. Did you mean when?"),
    ],
)
def test_a_wrong_entry_is_refused(entry: dict, law: str):
    """Every slip in a parameter's entry is refused, with its place and the law it breaks."""
    with pytest.raises(ConfigError) as error:
        free(**entry)
    assert str(error.value).startswith("place: ")
    assert law in str(error.value)


@pytest.mark.parametrize(
    ("entry", "points"),
    [
        ({"choice": ["b", "a"]}, ["b", "a"]),
        ({"choice": [2, 0.5, True]}, [2, 0.5, True]),
        ({"int": [2, 5]}, [2, 3, 4, 5]),
        ({"int": [2, 8], "step": 3}, [2, 5, 8]),
        (
            {"float": [0.0, 1.0], "step": 0.1},
            [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0],
        ),
        ({"float": [0.5, 0.5]}, [0.5]),
        ({"float": [0.0, 1.0]}, None),
        ({"float": [0.1, 1.0], "log": True}, None),
    ],
)
def test_points_are_all_values_in_order(entry: dict, points: list | None):
    """Points are what a search can suggest, without the dust of adding floats; a continuous range has none."""
    assert free(**entry).points() == points


@pytest.mark.parametrize(
    ("entry", "inside", "outside"),
    [
        ({"choice": [2, 4]}, [2, 4], [3, "2", True, None]),
        ({"choice": [True, 3]}, [True], [1, False]),
        ({"int": [1, 7], "step": 3}, [1, 4, 7], [0, 2, 8, True, "4", None]),
        ({"float": [0, 1], "step": 0.1}, [0, 0.3, 1], [0.35, -0.1, 1.1, True]),
        ({"float": [0.5, 1.5]}, [0.5, 1, 1.5], [0.49, 1.51, True, "1", None, float("nan")]),
    ],
)
def test_contains_what_a_search_may_suggest(entry: dict, inside: list, outside: list):
    """A value is inside if and only if a search may suggest it; a bool is no number and text is none."""
    assert all(free(**entry).contains(value) for value in inside)
    assert not any(free(**entry).contains(value) for value in outside)


RANGES = st.tuples(st.integers(-50, 50), st.integers(1, 9), st.integers(0, 20)).map(
    lambda t: {"int": [t[0], t[0] + t[1] * t[2]], "step": t[1]}
)
STEPPED = st.tuples(st.integers(-50, 50), st.integers(1, 9), st.integers(1, 20)).map(
    lambda t: {"float": [t[0] / 10, (t[0] + t[1] * t[2]) / 10], "step": t[1] / 10}
)
CONTINUOUS = st.tuples(st.floats(0.001, 1), st.floats(1, 1000), st.booleans()).map(
    lambda t: {"float": [t[0], t[1]], "log": t[2]}
)
CHOICES = st.lists(st.integers() | st.text(max_size=3), min_size=1, max_size=4, unique=True).map(
    lambda values: {"choice": values}
)


@given(entry=RANGES | STEPPED | CONTINUOUS | CHOICES, seed=st.integers(0, 1000))
def test_a_suggested_value_is_contained_and_counted(entry: dict, seed: int):
    """What Optuna suggests is inside the parameter and one of its points."""
    parameter = free(**entry)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    value = parameter.suggest("x", study.ask())
    points = parameter.points()
    assert points is None or value in points
    low, high = parameter.bounds
    assert parameter.contains(value) or value in (tidy(low), tidy(high))


@pytest.mark.parametrize(
    ("entry", "value"), [({"int": [1, 9]}, 3), ({"float": [0, 1], "step": 0.1}, 0.3)]
)
def test_a_suggested_value_has_the_kind_of_its_range(entry: dict, value: float):
    """An int range gives int, a float range float."""
    suggested = free(**entry).suggest("x", FixedTrial({"x": value}))
    assert suggested == value
    assert type(suggested) is type(value)


def test_tidy_removes_dust():
    """Floats are as a person would write them."""
    assert tidy(0.1 + 0.2) == 0.3
    assert tidy(3 * 0.1 * 1e-5) == 3e-6


SAME = [
    ({"float": [0, 1]}, {"float": [0.0, 1.0], "log": False}),
    ({"int": [1, 5]}, {"int": [1, 5], "step": 1}),
    ({"choice": [1, 2]}, {"choice": [1, 2], "when": {}}),
]
DIFFERENT = [
    {"float": [0, 1]},
    {"float": [0, 2]},
    {"float": [0, 1], "step": 0.5},
    {"float": [0, 1], "step": 1.0},
    {"float": [0.5, 1]},
    {"float": [0.5, 1], "log": True},
    {"int": [0, 1]},
    {"int": [0, 2]},
    {"int": [0, 2], "step": 2},
    {"choice": [0, 1]},
    {"choice": [1, 0]},  # Optuna's samplers see places, not values
    {"choice": ["0", "1"]},
    {"choice": [0, 1], "when": {"model.a": [1]}},
    {"choice": [0, 1], "when": {"model.a": [2]}},
]


def test_canonical_is_equal_only_for_the_same_search():
    """Two ways to write one parameter have one canonical form, two different searches have two."""
    assert all(free(**one).canonical() == free(**other).canonical() for one, other in SAME)
    forms = [free(**entry).canonical() for entry in DIFFERENT]
    assert all(forms.count(form) == 1 for form in forms)


@pytest.mark.parametrize("entry", DIFFERENT)
def test_canonical_is_an_entry(entry: dict):
    """The canonical form, read again, is the same parameter."""
    assert free(**free(**entry).canonical()) == free(**entry)
