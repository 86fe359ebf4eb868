"""Search spaces: their grammar, what they suggest, and what is refused before any trial."""

from pathlib import Path
from typing import Any, Literal

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FixedTrial
from pydantic import Field, model_validator

from blade_tune.config import Settings, write_yaml
from blade_tune.errors import ConfigError
from blade_tune.models.settings.base import only_when
from blade_tune.space import Space
from blade_tune.spec.space_check import check_space

EXAMPLE = {
    "model": {
        "size": 32,
        "heads": {"choice": [2, 4]},
        "alpha": {"float": [0.0, 1.0], "step": 0.5},
        "kind": {"choice": ["add", "mask", "none"]},
        "rho": {"float": [0.1, 0.9], "when": {"kind": ["add", "mask"]}},
        "exponent": {"choice": [0.25, 1.0], "when": {"kind": ["mask"]}},
    },
    "train": {"rate": {"float": [0.001, 0.1], "log": True}},
}


class Model(Settings):
    size: int = Field(32, ge=8)
    heads: int = Field(2, ge=1, le=8)
    alpha: float = Field(0.5, ge=0.0, le=1.0)
    kind: Literal["add", "mask", "none"] = "mask"
    rho: float = Field(0.5, ge=0.0, le=1.0, json_schema_extra=only_when(kind=("add", "mask")))
    exponent: float = Field(0.5, gt=0.0, le=1.0, json_schema_extra=only_when(kind=("mask",)))

    @model_validator(mode="after")
    def _heads_divide_size(self) -> "Model":
        if self.size % self.heads:
            raise ValueError(f"size must be divisible by heads, got {self.size} and {self.heads}")
        return self


class Train(Settings):
    rate: float = Field(0.01, gt=0.0, le=1.0)


CONFIGS: dict[str, type[Settings]] = {"model": Model, "train": Train}


def space(model: dict[str, Any] | None = None, train: dict[str, Any] | None = None) -> Space:
    return Space.from_mapping({"model": model or {}, "train": train or {}}, "space.yaml")


def example() -> Space:
    return Space.from_mapping(EXAMPLE, "example.yaml")


def configurations(of: Space) -> list[dict[str, Any]]:
    """Every configuration of a countable space, by walking it as a search does: the slow twin of `count`."""

    def walk(names: list[str], values: dict[str, Any]) -> list[dict[str, Any]]:
        if not names:
            return [values]
        name, *rest = names
        if any(values.get(other) not in allowed for other, allowed in of.free[name].when.items()):
            return walk(rest, values)
        return [
            found
            for point in of.free[name].points() or []
            for found in walk(rest, {**values, name: point})
        ]

    return walk(list(of.free), dict(of.fixed))


# --- grammar ---


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"modle": {}}, "s.yaml: unknown group modle. Did you mean model?"),
        ({"evaluation": {}}, "s.yaml: unknown group evaluation. Known: model, train."),
        ({"model": [1, 2]}, "s.yaml: model must be a mapping of parameters, got [1, 2]."),
        ({"train": "fast"}, "s.yaml: train must be a mapping of parameters, got 'fast'."),
        (
            {"model": {"a": {"flaot": [0, 1]}}},
            "s.yaml: model.a: unknown key flaot. Did you mean float?",
        ),
        ({"model": {"a": {}}}, "s.yaml: model.a: must have exactly one of float, int, choice."),
        (
            {"model": {"a": {"choice": [1], "when": {"b": [1]}}, "b": {"choice": [1, 2]}}},
            "s.yaml: model.a depends on model.b, which must stand before it.",
        ),
        (
            {"model": {"a": {"choice": [1], "when": {"a": [1]}}}},
            "s.yaml: model.a depends on model.a, which must stand before it.",
        ),
        (
            {"model": {"b": {"choice": ["x", "y"]}, "a": {"choice": [1], "when": {"b": ["z"]}}}},
            "s.yaml: model.a waits for model.b in ['z'], which has ['x', 'y'].",
        ),
        (
            {"model": {"b": "x", "a": {"choice": [1], "when": {"b": ["y"]}}}},
            "s.yaml: model.a waits for model.b in ['y'], which has ['x'].",
        ),
    ],
)
def test_a_malformed_space_is_refused(content: dict, message: str):
    """What is no space is refused with its place and the law."""
    with pytest.raises(ConfigError) as error:
        Space.from_mapping(content, "s.yaml")
    assert str(error.value) == message


def test_an_empty_group_is_no_parameter():
    """A group with nothing under it may stand in a file."""
    assert Space.from_mapping({"model": None}, "s").count() == 1


def test_a_file_is_read(tmp_path: Path):
    """A space file gives the space that its content gives, and errors name the file."""
    path = tmp_path / "example.yaml"
    path.write_text(write_yaml(EXAMPLE), encoding="utf-8")
    assert Space.load(path).canonical() == example().canonical()
    path.write_text("model: {a: {choice: []}}", encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"^{path}: model\.a: "):
        Space.load(path)


# --- suggest ---


def test_suggest_gives_dotted_names_and_fixed_values():
    """A suggestion has every parameter by dotted name, fixed ones included; that name is Optuna's."""
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)).ask()
    values = example().suggest(trial)
    assert set(values) - set(trial.params) == {"model.size"}
    assert {"model.size", "model.heads", "model.alpha", "model.kind", "train.rate"} <= set(values)


@pytest.mark.parametrize(
    ("kind", "conditional"),
    [("add", {"model.rho"}), ("mask", {"model.rho", "model.exponent"}), ("none", set())],
)
def test_conditional_parameters_come_only_when_they_count(kind: str, conditional: set[str]):
    """A parameter with `when` is suggested if and only if its condition holds."""
    given = {"model.heads": 2, "model.alpha": 0.5, "model.kind": kind, "train.rate": 0.01}
    given |= {"model.rho": 0.3, "model.exponent": 1.0}
    values = example().suggest(FixedTrial(given))
    assert set(values) & {"model.rho", "model.exponent"} == conditional


def test_a_stored_trial_gives_the_configuration_it_was_suggested():
    """`values` of a trial's stored parameters is what `suggest` gave it."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    for _ in range(20):
        trial = study.ask()
        assert example().suggest(trial) == example().values(trial.params)


# --- count ---

CHAIN = {
    "a": {"choice": ["x", "y"]},
    "b": {"int": [1, 2], "when": {"a": ["x"]}},
    "c": {"choice": [1, 2, 3], "when": {"b": [1]}},
    "d": {"float": [0, 1], "step": 0.25},
}


@pytest.mark.parametrize(
    ("model", "total"),
    [
        ({}, 1),
        ({"a": 5}, 1),
        ({"a": {"choice": [1, 2, 3]}, "b": {"int": [0, 4]}}, 15),
        ({"a": {"choice": ["x", "y"]}, "b": {"choice": [1, 2, 3], "when": {"a": ["x"]}}}, 4),
        ({"a": "x", "b": {"choice": [1, 2, 3], "when": {"a": ["x"]}}}, 3),
        (CHAIN, 5 * (3 + 1 + 1)),
        ({"a": {"float": [0, 1]}, "b": {"choice": [1, 2]}}, None),
    ],
)
def test_count_is_the_number_of_different_configurations(model: dict, total: int | None):
    """Configurations are counted with their conditions; a continuous range has no number."""
    assert space(model).count() == total
    if total is not None:
        found = configurations(space(model))
        assert len(found) == len({tuple(values.items()) for values in found}) == total


@st.composite
def conditional_spaces(draw: st.DrawFn) -> Space:
    """Up to five choices, most of which wait for a value of an earlier one."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    model: dict[str, Any] = {}
    for i, size in enumerate(sizes):
        model[f"p{i}"] = {"choice": list(range(size))}
        parent = draw(st.integers(-1, i - 1))
        if parent >= 0:
            allowed = draw(st.sets(st.integers(0, sizes[parent] - 1), min_size=1))
            model[f"p{i}"]["when"] = {f"p{parent}": sorted(allowed)}
    return space(model)


@given(searched=conditional_spaces())
def test_count_equals_walking_the_space(searched: Space):
    """However conditions hang together, `count` is the number of configurations that a walk meets."""
    assert searched.count() == len(configurations(searched))


@given(searched=conditional_spaces(), data=st.data())
def test_a_narrowed_space_is_the_part_with_the_given_values(searched: Space, data: st.DataObject):
    """Its configurations are those of the space that have the value, and those where the parameter waits in vain."""
    name = data.draw(st.sampled_from([*searched.free]))
    value = data.draw(st.sampled_from(searched.free[name].points()))
    narrowed = searched.narrowed({name: value})
    assert narrowed.fixed == {name: value}
    found = [{**each, name: value} for each in configurations_beside(narrowed)]
    having = [each for each in configurations(searched) if each.get(name) == value]
    assert all(each in found for each in having)
    if not searched.free[name].when:
        assert len(found) == len(having)


def configurations_beside(of: Space) -> list[dict[str, Any]]:
    """Free parameters of every configuration, where conditions on fixed ones hold."""
    assert not any(other in of.fixed for each in of.free.values() for other in each.when)
    return configurations(of)


@given(searched=conditional_spaces(), data=st.data())
def test_what_waits_for_a_parameter_that_is_left_out_is_left_out(
    searched: Space, data: st.DataObject
):
    """And nothing else is."""
    name = data.draw(st.sampled_from([*searched.free]))
    out = {name}
    for other, parameter in searched.free.items():
        out |= {other} if out & {*parameter.when} else set()
    assert [*searched.without([name]).free] == [each for each in searched.free if each not in out]


# --- check against settings ---


@pytest.mark.parametrize(
    ("model", "train", "message"),
    [
        ({"heds": 2}, {}, "unknown model key heds. Did you mean heads?"),
        ({"alhpa": {"float": [0, 1]}}, {}, "unknown model key alhpa. Did you mean alpha?"),
        ({}, {"heads": 2}, "unknown train key heads. Known: rate."),
        ({"alpha": 1.5}, {}, "model: alpha must be less than or equal to 1, got 1.5."),
        (
            {"alpha": {"float": [-0.1, 1.0]}},
            {},
            "model: alpha must be greater than or equal to 0, got -0.1.",
        ),
        (
            {"alpha": {"float": [0.0, 1.1]}},
            {},
            "model: alpha must be less than or equal to 1, got 1.1.",
        ),
        ({"heads": {"int": [0, 4]}}, {}, "model: heads must be greater than or equal to 1, got 0."),
        ({"heads": {"int": [1, 9]}}, {}, "model: heads must be less than or equal to 8, got 9."),
        (
            {"kind": {"choice": ["add", "flip"]}},
            {},
            "model: kind must be 'add', 'mask' or 'none', got 'flip'.",
        ),
        (
            {"size": 32, "heads": {"choice": [2, 3]}},
            {},
            "model: size must be divisible by heads, got 32 and 3.",
        ),
        (
            {"size": {"choice": [16, 20]}, "heads": {"choice": [4, 8]}},
            {},
            "model: size must be divisible by heads, got 20",
        ),
        ({"heads": [2, 4]}, {}, "model: heads must be a valid integer, got [2, 4]."),
        ({"heads": None}, {}, "model: heads must be a valid integer, got None."),
        (
            {},
            {"rate": {"float": [0.5, 2.0]}},
            "train: rate must be less than or equal to 1, got 2.0.",
        ),
        (
            {"heads": {"choice": [2, 4]}},
            {"rate": {"float": [0.5, 2.0], "when": {"model.heads": [4]}}},
            "train: rate must be less than or equal to 1, got 2.0.",
        ),
    ],
)
def test_check_refuses_what_the_settings_refuse(model: dict, train: dict, message: str):
    """Every name, both ends of every range and every combination of choices is checked before any trial."""
    with pytest.raises(ConfigError) as error:
        check_space(space(model, train), CONFIGS)
    assert str(error.value).startswith(f"space.yaml: {message}")


def test_check_tries_only_combinations_that_a_search_can_make():
    """A value that is searched only beside values it fits is accepted, through a chain of conditions too."""
    check_space(example(), CONFIGS)
    model = {
        "kind": {"choice": ["add", "mask", "none"]},
        "rho": {"choice": [0.1, 0.2], "when": {"kind": ["add", "mask"]}},
        "heads": {"choice": [8], "when": {"rho": [0.1]}},
        "size": {"choice": [16, 20], "when": {"kind": ["none"]}},
    }
    check_space(space(model), CONFIGS)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            {"kind": {"choice": ["add", "none"]}, "rho": {"float": [0.1, 0.9]}},
            "model.rho has no effect where model.kind is none; add when: {kind: ['add', 'mask']}.",
        ),
        (
            {"kind": "none", "rho": {"float": [0.1, 0.9]}},
            "model.rho has no effect where model.kind is none; add when",
        ),
        (
            {"kind": "none", "rho": 0.5},
            "model.rho has no effect where model.kind is none; drop it.",
        ),
        (
            {"kind": "add", "exponent": {"choice": [0.5, 1.0]}},
            "model.exponent has no effect where model.kind is add;",
        ),
        (
            {
                "kind": {"choice": ["add", "mask"]},
                "exponent": {"choice": [0.5], "when": {"kind": ["add"]}},
            },
            "model.exponent has no effect where model.kind is add;",
        ),
    ],
)
def test_an_idle_parameter_is_refused(model: dict, message: str):
    """A parameter that the model ignores under some searched value must say `when` it counts."""
    with pytest.raises(ConfigError) as error:
        check_space(space(model), CONFIGS)
    assert str(error.value).startswith(f"space.yaml: {message}")


@pytest.mark.parametrize(
    "model",
    [
        {"rho": {"float": [0.1, 0.9]}},  # the default kind is mask
        {"kind": {"choice": ["add", "none"]}, "rho": 0.5},  # counts now and then
        {
            "kind": {"choice": ["add", "none"]},
            "rho": {"float": [0.1, 0.9], "when": {"kind": ["add"]}},
        },
    ],
)
def test_a_parameter_that_counts_is_accepted(model: dict):
    """What has an effect wherever it is searched needs no more words."""
    check_space(space(model), CONFIGS)


def test_a_huge_space_is_checked_by_a_sample():
    """A product of choices too large to try one by one is still checked, in bounded time."""
    model = {name: {"choice": [1, 2, 4, 8]} for name in ("heads",)}
    train = {"rate": {"choice": [(i + 1) / 30_000 for i in range(30_000)]}}
    check_space(space(model, train), CONFIGS)
    with pytest.raises(ConfigError, match="rate must be less than or equal to 1"):
        check_space(
            space(model, {"rate": {"choice": [2 + i / 30_000 for i in range(30_000)]}}), CONFIGS
        )
