"""Search spaces: the parameters that are fixed, those that a search may vary, and checks of them before any trial.

A space file has the groups `model` and `train`. In a group, a bare value is a fixed parameter, and a mapping with one
of the keys float, int or choice is a free one. A parameter's name is its dotted key, such as `model.lambda_`, in files,
the dashboard and tables alike.

A free parameter may depend on parameters before it (`when`): it is suggested only where each of those has one of the
listed values, and is absent from the configuration elsewhere.
"""

import itertools
import json
import math
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from blade_tune.config import Settings, guess, parse, read_yaml
from blade_tune.errors import ConfigError
from blade_tune.parameter import Free, SuggestsValues, Value, tidy

T = TypeVar("T")

GROUPS = ("model", "train")
# Of a group's points; so many settings can be constructed each time a study is read
MAX_COMBINATIONS = 20_000
# Most points of a parameter that a sample pairs with those of others; of more, evenly spaced ones
FEW = 40


@dataclass(frozen=True)
class Checked:
    """Numbers of configurations that a check of a space has constructed."""

    constructed: int  # combinations of points, summed over groups
    total: int  # combinations that exist, summed over groups


class Space:
    """Fixed and free parameters of a study by dotted name.

    Args:
        fixed: dotted name -> value.
        free: dotted name -> parameter, in the order of the file; a `when` may name only parameters before its own.
        place: where the space stands, the first words of an error ("spaces/x.yaml").

    Raises:
        ConfigError: a `when` names an unknown or later parameter, or a value which that one cannot have.
    """

    def __init__(self, fixed: Mapping[str, Value], free: Mapping[str, Free], place: str) -> None:
        self.fixed = dict(fixed)
        self.free = {
            name: self._with_dotted_conditions(name, parameter) for name, parameter in free.items()
        }
        self.place = place
        self._check_conditions()

    @classmethod
    def load(cls, path: Path) -> "Space":
        """Read a space from its file."""
        return cls.from_mapping(read_yaml(path), str(path))

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any], place: str) -> "Space":
        """Build a space from the nested mapping that its file holds.

        Args:
            data: group -> name of a parameter -> its value or its range.
            place: where the data stands, the first words of an error.

        Raises:
            ConfigError: a group is unknown or no mapping, or a range is invalid.
        """
        fixed: dict[str, Value] = {}
        free: dict[str, Free] = {}
        for group, entries in data.items():
            if group not in GROUPS:
                raise ConfigError(f"{place}: unknown group {group}. {guess(str(group), GROUPS)}")
            if not isinstance(entries or {}, Mapping):
                raise ConfigError(
                    f"{place}: {group} must be a mapping of parameters, got {entries!r}."
                )
            for key, entry in (entries or {}).items():
                name = f"{group}.{key}"
                if isinstance(entry, dict):
                    free[name] = parse(Free, entry, f"{place}: {name}")
                else:
                    fixed[name] = entry
        return cls(fixed, free, place)

    def suggest(self, trial: SuggestsValues) -> dict[str, Value]:
        """Ask a trial for all free parameters, and return them with the fixed ones by dotted name.

        Free parameters whose `when` does not hold are not asked for, and are absent from the result.
        """
        values = dict(self.fixed)
        for name, parameter in self.free.items():
            if _holds(parameter.when, values):
                values[name] = parameter.suggest(name, trial)
        return values

    def values(self, params: Mapping[str, Value]) -> dict[str, Value]:
        """Return the configuration of a stored trial, equal to what `suggest` returned for it.

        Args:
            params: the trial's parameters as Optuna stored them, before `tidy`.
        """
        stored = {
            name: tidy(value) if isinstance(value, float) else value
            for name, value in params.items()
        }
        return {**self.fixed, **stored}

    def defaults(
        self, configs: Mapping[str, type[Settings]], preferred: Mapping[str, Value] = {}
    ) -> dict[str, Value]:
        """Return default values of the free parameters, such as for the first trial of a study.

        Args:
            configs: group -> settings class, which declares the defaults.
            preferred: dotted name -> value to take instead of the class's own default, where the space allows it.

        Returns:
            Values by dotted name; without parameters whose default is not in the space or has no effect there.
        """
        values: dict[str, Value] = {}
        for name, parameter in self.free.items():
            group, _, field = name.partition(".")
            default = configs[group].model_fields[field].default
            known = [
                value
                for value in (preferred.get(name, default), default)
                if parameter.contains(value)
            ]
            if known and _holds(parameter.when, {**self.fixed, **values}):
                values[name] = known[0]
        return values

    def possible(self, name: str, default: Value) -> list[Value]:
        """Return the values that a parameter may have: probes of a free one, a fixed value, or else its default."""
        return self.free[name].probes() if name in self.free else [self.fixed.get(name, default)]

    def fill(self, given: Mapping[str, Any], place: str) -> dict[str, Value]:
        """Check a configuration that was written by hand, and return the values of its free parameters.

        Args:
            given: dotted name -> value; parameters that are missing are left to the sampler, and fixed ones may be
                given with the value that they have anyway.
            place: where the configuration stands, the first words of an error.

        Raises:
            ConfigError: a name is unknown, a value lies outside the space, or has no effect given the others.
        """
        values: dict[str, Value] = {}
        for name, value in given.items():
            if name in self.fixed:
                if value != self.fixed[name]:
                    raise ConfigError(
                        f"{place}: {name} is fixed at {self.fixed[name]!r} in {self.place}, got {value!r}."
                    )
            elif name not in self.free:
                raise ConfigError(
                    f"{place}: unknown parameter {name}. {guess(name, [*self.free, *self.fixed])}"
                )
            elif not self.free[name].contains(value):
                raise ConfigError(
                    f"{place}: {name} must lie in {self.free[name]} ({self.place}), got {value!r}."
                )
            else:
                values[name] = value
        for name in values:
            if not _holds(self.free[name].when, {**self.fixed, **values}):
                raise ConfigError(
                    f"{place}: {name} has no effect beside these values (when: {self.free[name].when})."
                )
        return values

    def check(self, configs: Mapping[str, type[Settings]], most: int = MAX_COMBINATIONS) -> Checked:
        """Check all names, and construct the settings of each group from combinations of its parameters' points.

        This finds an invalid combination before any trial runs. The points of a continuous range are its two ends. If a
        group has more than `most` combinations, a sample of `most // 4` stands for all: each point, each pair of
        points, and seeded draws.

        Args:
            configs: group -> settings class, for example {"model": BladeConfig, "train": TrainConfig}.
            most: most combinations of a group that are all constructed.

        Raises:
            ConfigError: the first problem that is found.
        """
        self._check_names(configs)
        constructed = total = 0
        # Groups are independent settings classes, so their combinations need not be multiplied with each other.
        for group, config in configs.items():
            found = self._construct(group, config, most)
            # Fixed values alone are checked, but are nothing that a search combines
            if self._free(group):
                constructed, total = constructed + found.constructed, total + found.total
            self._check_effect(group, config)
        return Checked(constructed, total)

    def check_stored(self, configs: Mapping[str, type[Settings]]) -> None:
        """Check that this version of the program still knows the names of a stored study's space and allows its ends.

        Two configurations a group are constructed, one of all low ends and one of all high ends.

        Args:
            configs: group -> settings class.

        Raises:
            ConfigError: a setting is unknown to this version, or a value is not allowed any more.
        """
        self._check_names(configs)
        for group, config in configs.items():
            for low_or_high in (0, -1):
                ends = {
                    name: parameter.probes()[low_or_high]
                    for name, parameter in self._free(group).items()
                }
                parse(
                    config, nest(self._active(ends, group)).get(group, {}), f"{self.place}: {group}"
                )

    def _check_names(self, configs: Mapping[str, type[Settings]]) -> None:
        for name in (*self.fixed, *self.free):
            group, _, field = name.partition(".")
            if field not in configs[group].model_fields:
                raise ConfigError(
                    f"{self.place}: unknown {group} key {field}. {guess(field, configs[group].model_fields)}"
                )

    def _construct(self, group: str, config: type[Settings], most: int) -> Checked:
        """Construct a group's settings from its combinations, with the types that a search would suggest."""
        free = self._free(group)
        tried = [parameter.tried() for parameter in free.values()]
        total = math.prod(map(len, tried))
        draws = (
            itertools.product(*tried)
            if total <= most
            else itertools.islice(_sample(tried), most // 4)
        )
        waits = any(parameter.when for parameter in free.values())
        fixed, names = _fields(self.fixed, group), list(_fields(free, group))
        place, constructed = f"{self.place}: {group}", 0
        # Ends come first: a range that is too wide is then reported as such, not as a pair of values that do not fit.
        for draw in itertools.chain(_ends(tried), draws):
            if waits:
                fields = _fields(self._active(dict(zip(free, draw, strict=True)), group), group)
            else:
                fields = {**fixed, **dict(zip(names, draw, strict=True))}
            parse(config, fields, place, strict=True)
            constructed += 1
        return Checked(min(constructed, total), total)

    def _free(self, group: str) -> dict[str, Free]:
        return {
            name: parameter for name, parameter in self.free.items() if name.startswith(group + ".")
        }

    def count(self) -> int | None:
        """Return the number of different configurations, or None if a range is continuous."""
        if any(parameter.points() is None for parameter in self.free.values()):
            return None
        # Only parameters that others depend on are combined one by one; the rest multiply the count of each case.
        conditioned_on = {other for parameter in self.free.values() for other in parameter.when}
        controls = {
            name: self.free[name].points() or [] for name in self.free if name in conditioned_on
        }
        draws = (
            self._active(dict(zip(controls, draw, strict=True)))
            for draw in itertools.product(*controls.values())
        )
        total = 0
        for values in {tuple(values.items()): values for values in draws}.values():
            rest = (
                p
                for name, p in self.free.items()
                if name not in controls and _holds(p.when, values)
            )
            total += math.prod(len(parameter.points() or []) for parameter in rest)
        return total

    def canonical(self) -> dict[str, Any]:
        """Return plain data for a fingerprint: dotted name -> fixed value or free range, sorted by name."""
        entries = {
            **self.fixed,
            **{name: parameter.canonical() for name, parameter in self.free.items()},
        }
        return json.loads(json.dumps(dict(sorted(entries.items()))))

    def to_mapping(self) -> dict[str, Any]:
        """Return the space as the nested mapping that `from_mapping` reads."""
        return nest(
            {**self.fixed, **{name: parameter.canonical() for name, parameter in self.free.items()}}
        )

    def with_fixed(self, values: Mapping[str, Value], place: str) -> "Space":
        """Return this space with further values fixed.

        Args:
            values: dotted name -> value.
            place: where the values stand, the first words of an error.

        Raises:
            ConfigError: one of the parameters is free in this space, or fixed at another value.
        """
        for name, value in values.items():
            if name in self.free or self.fixed.get(name, value) != value:
                raise ConfigError(f"{place}: {name} is given here and in {self.place}; keep one.")
        return Space({**self.fixed, **values}, self.free, self.place)

    def without(self, names: Collection[str]) -> "Space":
        """Return this space without some of its free parameters, given by dotted name."""
        return Space(
            self.fixed,
            {name: free for name, free in self.free.items() if name not in names},
            self.place,
        )

    def _with_dotted_conditions(self, name: str, parameter: Free) -> Free:
        """Return the parameter with dotted names in `when`, which may name parameters of its own group without it."""
        group = name.partition(".")[0]
        when = {
            other if "." in other else f"{group}.{other}": values
            for other, values in parameter.when.items()
        }
        return parameter.model_copy(update={"when": when})

    def _check_conditions(self) -> None:
        known = set(self.fixed)
        for name, parameter in self.free.items():
            for other, values in parameter.when.items():
                if other not in known:
                    raise ConfigError(
                        f"{self.place}: {name} depends on {other}, which must stand before it."
                    )
                allowed = self.free[other].probes() if other in self.free else [self.fixed[other]]
                if not set(values) <= set(allowed) and (
                    other in self.fixed or self.free[other].choice
                ):
                    raise ConfigError(
                        f"{self.place}: {name} waits for {other} in {list(values)}, which has {allowed}."
                    )
            known.add(name)

    def _active(self, draw: Mapping[str, Value], group: str = "") -> dict[str, Value]:
        """Return the fixed values and those of `draw` whose `when` holds.

        Of a `group`, only its own values are returned, and conditions on other groups count as held.
        """
        values = {name: value for name, value in self.fixed.items() if name.startswith(group)}
        for name, value in draw.items():
            when = {
                other: allowed
                for other, allowed in self.free[name].when.items()
                if other.startswith(group)
            }
            if _holds(when, values):
                values[name] = value
        return values

    def _check_effect(self, group: str, config: type[Settings]) -> None:
        """Require a `when` of each parameter that the settings ignore under some values of another one."""
        for name in (*self.fixed, *self.free):
            if not name.startswith(group + "."):
                continue
            extra: Any = config.model_fields[name.partition(".")[2]].json_schema_extra
            for field, effective in (extra or {}).get("only_when", {}).items():
                other = f"{group}.{field}"
                default = config.model_fields[field].default
                possible = self.possible(other, default)
                reached = (
                    self.free[name].when.get(other, possible) if name in self.free else possible
                )
                # Where this parameter has no effect
                idle = [value for value in reached if value not in effective]
                if (name in self.free and idle) or len(idle) == len(possible):
                    way_out = (
                        f"add when: {{{field}: {effective}}}" if name in self.free else "drop it"
                    )
                    raise ConfigError(
                        f"{self.place}: {name} has no effect where {other} is {idle[0]}; {way_out}."
                    )


def nest(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return values by dotted name as nested mappings: {"model.alpha": 0.5} becomes {"model": {"alpha": 0.5}}."""
    nested: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        group, _, field = name.partition(".")
        nested.setdefault(group, {})[field] = value
    return nested


def _fields(values: Mapping[str, T], group: str) -> dict[str, T]:
    """Return the values of one group by the names of its fields, without the group's prefix."""
    return {
        name.removeprefix(f"{group}."): value
        for name, value in values.items()
        if name.startswith(f"{group}.")
    }


def _ends(tried: Sequence[Sequence[Value]]) -> Iterator[tuple[Value, ...]]:
    """Yield all first points, then for each parameter its last point with the first ones of the others."""
    firsts = [points[0] for points in tried]
    yield tuple(firsts)
    for place, points in enumerate(tried):
        yield (*firsts[:place], points[-1], *firsts[place + 1 :])


def _sample(tried: Sequence[Sequence[Value]]) -> Iterator[tuple[Value, ...]]:
    """Yield combinations without end: one with each point, one with each pair of points, then drawn ones.

    Parameters that a combination does not prescribe are drawn from their points.
    """
    generator = random.Random(0)  # noqa: S311 - a repeatable sample, not a secret

    def drawn(**given: Value) -> tuple[Value, ...]:
        return tuple(
            given.get(f"p{place}", generator.choice(points)) for place, points in enumerate(tried)
        )

    few = [_spread(points) for points in tried]
    for place, points in enumerate(few):
        yield from (drawn(**{f"p{place}": point}) for point in points)
    for one, other in itertools.combinations(range(len(tried)), 2):
        yield from (
            drawn(**{f"p{one}": a, f"p{other}": b})
            for a, b in itertools.product(few[one], few[other])
        )
    while True:
        yield drawn()


def _spread(points: Sequence[Value]) -> Sequence[Value]:
    """Return all points, or FEW at equal distances, both ends included, if there are more than that."""
    if len(points) <= FEW:
        return points
    return [points[place * (len(points) - 1) // (FEW - 1)] for place in range(FEW)]


def _holds(when: Mapping[str, tuple[Value, ...]], values: Mapping[str, Value]) -> bool:
    return all(values.get(name) in allowed for name, allowed in when.items())
