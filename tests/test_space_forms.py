"""Search spaces filled with given values, and their written forms."""

import itertools

import optuna
import pytest

from blade_tune.errors import ConfigError
from blade_tune.space import Space, nest
from blade_tune.spec.space_check import check_space
from tests.test_space import CONFIGS, example, space

# --- fill ---


def test_fill_gives_the_free_values():
    """A configuration written by hand gives its free values; what it leaves out is left to the sampler."""
    given = {"model.size": 32, "model.kind": "mask", "model.exponent": 0.25, "model.alpha": 0.5}
    assert example().fill(given, "here") == {
        "model.kind": "mask",
        "model.exponent": 0.25,
        "model.alpha": 0.5,
    }
    assert example().fill({}, "here") == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model.alhpa": 0.5}, "here: unknown parameter model.alhpa. Did you mean model.alpha?"),
        ({"train.dropout": 0.5}, "here: unknown parameter train.dropout."),
        (
            {"train.rate": 0.5},
            "here: train.rate must lie in [0.001, 0.1] log (example.yaml), got 0.5.",
        ),
        (
            {"model.alpha": 0.3},
            "here: model.alpha must lie in [0, 1] step 0.5 (example.yaml), got 0.3.",
        ),
        ({"model.heads": 3}, "here: model.heads must lie in {2, 4} (example.yaml), got 3."),
        ({"model.size": 16}, "here: model.size is fixed at 32 in example.yaml, got 16."),
        (
            {"model.kind": "none", "model.rho": 0.5},
            "here: model.rho has no effect beside these values",
        ),
        ({"model.exponent": 0.25}, "here: model.exponent has no effect beside these values"),
    ],
)
def test_fill_refuses_what_a_search_could_not_make(given: dict, message: str):
    """A typo, a value outside, between steps or against a fixed one, or one without effect is refused."""
    with pytest.raises(ConfigError) as error:
        example().fill(given, "here")
    assert str(error.value).startswith(message)


# --- forms ---


def test_to_mapping_is_read_back():
    """The nested form of a space, read again, is the same space with the same nested form."""
    again = Space.from_mapping(example().to_mapping(), "again")
    assert again.canonical() == example().canonical()
    assert again.to_mapping() == example().to_mapping()
    assert list(again.free) == list(example().free)


VARIANTS = [
    {"a": 1},
    {"a": 2},
    {"b": 1},
    {"a": {"choice": [1]}},
    {"a": {"choice": [1, 2]}},
    {"a": 1, "b": {"choice": [1, 2]}},
    {"a": {"choice": [1, 2]}, "b": {"choice": [1, 2], "when": {"a": [1]}}},
    {"a": {"choice": [1, 2]}, "b": {"choice": [1, 2], "when": {"a": [2]}}},
]


def test_canonical_differs_if_and_only_if_the_search_does():
    """Order and spelling do not count, any other value, name, range or condition does."""
    forms = [space(model).canonical() for model in VARIANTS]
    assert all(one != other for one, other in itertools.combinations(forms, 2))
    assert space({"a": 1, "b": 2}).canonical() == space({"b": 2, "a": 1}).canonical()
    short, dotted = (
        {"a": 1, "b": {"choice": [1, 2], "when": {name: [1]}}} for name in ("a", "model.a")
    )
    assert space(short).canonical() == space(dotted).canonical()
    assert space({"a": 1}).canonical() != space({}, {"a": 1}).canonical()


def test_a_configuration_is_a_space_with_nothing_free():
    """The nested form of a trial's values is itself a valid space, of exactly one configuration."""
    values = example().suggest(
        optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=5)).ask()
    )
    again = Space.from_mapping(nest(values), "config.yaml")
    check_space(again, CONFIGS)
    assert (again.free, again.count()) == ({}, 1)
    assert again.fixed == values


def test_with_fixed_adds_and_never_overrides():
    """Further fixed values join the space; one that is free or fixed otherwise is refused."""
    assert example().with_fixed({"model.new": 1, "model.size": 32}, "study").fixed == {
        "model.size": 32,
        "model.new": 1,
    }
    for name in ("model.heads", "model.size"):
        with pytest.raises(
            ConfigError, match=rf"^study: {name} is given here and in example\.yaml; keep one\.$"
        ):
            example().with_fixed({name: 16}, "study")
