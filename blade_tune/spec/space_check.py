"""Checks of a search space before any trial: its names, its combinations of values, and parameters without effect."""

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from blade_tune.config import Settings, guess, parse
from blade_tune.errors import ConfigError
from blade_tune.parameter import Value
from blade_tune.space import Space, nest

T = TypeVar("T")

# Combinations of a group's points that are all constructed; each time a study is read there is time for so many.
MAX_COMBINATIONS = 20_000
# Points of a parameter that a sample pairs with those of others; of more points, evenly spaced ones are taken.
FEW = 40


@dataclass(frozen=True)
class Checked:
    """Numbers of configurations that a check of a space has constructed."""

    constructed: int  # combinations of points, summed over groups
    total: int  # combinations that exist, summed over groups


def check_space(
    space: Space, configs: Mapping[str, type[Settings]], most: int = MAX_COMBINATIONS
) -> Checked:
    """Check all names, and construct the settings of each group from combinations of its parameters' points.

    This finds an invalid combination before any trial runs. The points of a continuous range are its two ends. If a
    group has more than `most` combinations, a sample of `most // 4` stands for all: each point, each pair of points,
    and seeded draws.

    Args:
        space: the space.
        configs: group -> settings class, for example {"model": BladeConfig, "train": TrainConfig}.
        most: most combinations of a group that are all constructed.

    Raises:
        ConfigError: the first problem that is found.
    """
    _check_names(space, configs)
    constructed = total = 0
    # Groups are independent settings classes, so their combinations need not be multiplied with each other.
    for group, config in configs.items():
        checked = _construct(space, group, config, most)
        # Fixed values alone are checked, but are nothing that a search combines.
        if space.free_of(group):
            constructed += checked.constructed
            total += checked.total
        for name in (*space.fixed, *space.free):
            if name.startswith(f"{group}."):
                _check_effect(space, name, config)
    return Checked(constructed, total)


def check_stored_space(space: Space, configs: Mapping[str, type[Settings]]) -> None:
    """Check that this version of the program still knows the names of a stored study's space and allows its ends.

    Two configurations a group are constructed, one of all low ends and one of all high ends.

    Args:
        space: the space.
        configs: group -> settings class.

    Raises:
        ConfigError: a setting is unknown to this version, or a value is not allowed any more.
    """
    _check_names(space, configs)
    for group, config in configs.items():
        probes = {name: parameter.probes() for name, parameter in space.free_of(group).items()}
        for low_or_high in (0, -1):
            ends = {name: values[low_or_high] for name, values in probes.items()}
            fields = nest(space.active(ends, group)).get(group, {})
            parse(config, fields, f"{space.place}: {group}")


def check_searched(space: Space, sampler: str, place: str) -> None:
    """Refuse parameters that cannot be searched, and ranges that a sampler cannot.

    Args:
        space: the space.
        sampler: the name of the sampler.
        place: where the study stands, the first words of an error.

    Raises:
        ConfigError: there is one.
    """
    for key in ("max_epochs", "eval_every"):
        if f"train.{key}" in space.free:
            raise ConfigError(
                f"{place}: train.{key} cannot be searched: pruning compares trials at equal epochs."
            )
    if sampler == "grid" and space.count() is None:
        raise ConfigError(
            f"{place}: the grid sampler needs a step for every float of {space.place}."
        )


def _check_names(space: Space, configs: Mapping[str, type[Settings]]) -> None:
    for name in (*space.fixed, *space.free):
        group, _, field = name.partition(".")
        known = configs[group].model_fields
        if field not in known:
            raise ConfigError(f"{space.place}: unknown {group} key {field}. {guess(field, known)}")


def _construct(space: Space, group: str, config: type[Settings], most: int) -> Checked:
    """Construct a group's settings from its combinations, with the types that a search would suggest."""
    free = space.free_of(group)
    tried = [parameter.tried() for parameter in free.values()]
    total = math.prod(map(len, tried))
    combinations: Iterator[tuple[Value, ...]] = itertools.product(*tried)
    if total > most:
        combinations = itertools.islice(_sample(tried), most // 4)
    # Without conditions every combination has the same fields, which saves most of the time.
    has_conditions = any(parameter.when for parameter in free.values())
    fixed_fields = _fields(space.fixed, group)
    free_fields = list(_fields(free, group))
    constructed = 0
    # Ends come first: a range that is too wide is then reported as such, not as a pair of values that do not fit.
    for combination in itertools.chain(_ends(tried), combinations):
        if has_conditions:
            values = dict(zip(free, combination, strict=True))
            fields = _fields(space.active(values, group), group)
        else:
            fields = {**fixed_fields, **dict(zip(free_fields, combination, strict=True))}
        parse(config, fields, f"{space.place}: {group}", strict=True)
        constructed += 1
    return Checked(min(constructed, total), total)


def _check_effect(space: Space, name: str, config: type[Settings]) -> None:
    """Require a `when` of a parameter that the settings ignore under some values of another one."""
    group, _, own_field = name.partition(".")
    is_free = name in space.free
    extra: Any = config.model_fields[own_field].json_schema_extra
    for field, effective in (extra or {}).get("only_when", {}).items():
        other = f"{group}.{field}"
        possible = space.possible(other, config.model_fields[field].default)
        # A condition of the parameter's own may leave out some of the other's values.
        reached: Sequence[Value] = possible
        if is_free:
            reached = space.free[name].when.get(other, possible)
        without_effect = [value for value in reached if value not in effective]
        never_has_effect = len(without_effect) == len(possible)
        if never_has_effect or (is_free and without_effect):
            way_out = f"add when: {{{field}: {effective}}}" if is_free else "drop it"
            raise ConfigError(
                f"{space.place}: {name} has no effect where {other} is {without_effect[0]}; {way_out}."
            )


def _fields(values: Mapping[str, T], group: str) -> dict[str, T]:
    """Return the values of one group by the names of its fields, without the group's prefix."""
    prefix = f"{group}."
    return {
        name.removeprefix(prefix): value
        for name, value in values.items()
        if name.startswith(prefix)
    }


def _ends(tried: Sequence[Sequence[Value]]) -> Iterator[tuple[Value, ...]]:
    """Yield all first points, then for each parameter its last point with the first ones of the others."""
    firsts = [points[0] for points in tried]
    yield tuple(firsts)
    for index, points in enumerate(tried):
        yield (*firsts[:index], points[-1], *firsts[index + 1 :])


def _sample(tried: Sequence[Sequence[Value]]) -> Iterator[tuple[Value, ...]]:
    """Yield combinations without end: one with each point, one with each pair of points, then drawn ones.

    Parameters that a combination does not prescribe are drawn from their points.
    """
    generator = random.Random(0)  # noqa: S311 - a repeatable sample, not a secret

    def drawn(prescribed: Mapping[int, Value]) -> tuple[Value, ...]:
        combination = [generator.choice(points) for points in tried]
        for index, value in prescribed.items():
            combination[index] = value
        return tuple(combination)

    few = [_spread(points) for points in tried]
    # Each point of each parameter
    for index, points in enumerate(few):
        for point in points:
            yield drawn({index: point})
    # Each pair of points
    for one, other in itertools.combinations(range(len(tried)), 2):
        for first, second in itertools.product(few[one], few[other]):
            yield drawn({one: first, other: second})
    while True:
        yield drawn({})


def _spread(points: Sequence[Value]) -> Sequence[Value]:
    """Return all points, or FEW at equal distances, both ends included, if there are more than that."""
    if len(points) <= FEW:
        return points
    last = len(points) - 1
    return [points[index * last // (FEW - 1)] for index in range(FEW)]
