"""Search spaces: what may vary, what is fixed, and the checks made before any trial.

A space file has the groups `model` and `train`. A bare value is fixed; a mapping with one of the keys float, int or
choice is free. The name of a parameter is its dotted key, `model.lambda_`: file, dashboard and tables agree.
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
MAX_COMBINATIONS = 20_000  # of a group, constructed one by one where a study is read
FEW = 40  # points of a parameter of which a sample has every one, and every pair


@dataclass(frozen=True)
class Checked:
    """How much a check has constructed."""

    constructed: int  # combinations of points, over all groups
    total: int  # that there are


class Space:
    """Fixed and free parameters by dotted name; free ones in the order of their file.

    Args:
        fixed: dotted name -> value.
        free: dotted name -> parameter.
        place: where the space stands, for errors.
    """

    def __init__(self, fixed: Mapping[str, Value], free: Mapping[str, Free], place: str) -> None:
        self.fixed = dict(fixed)
        self.free = {name: self._with_dotted_conditions(name, parameter) for name, parameter in free.items()}
        self.place = place
        self._check_conditions()

    @classmethod
    def load(cls, path: Path) -> "Space":
        """Read a space file."""
        return cls.from_mapping(read_yaml(path), str(path))

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any], place: str) -> "Space":
        """Read a space from the nested form of its file.

        Raises:
            ConfigError: an unknown group, or a parameter that is neither a value nor one kind of range.
        """
        fixed: dict[str, Value] = {}
        free: dict[str, Free] = {}
        for group, entries in data.items():
            if group not in GROUPS:
                raise ConfigError(f"{place}: unknown group {group}. {guess(str(group), GROUPS)}")
            if not isinstance(entries or {}, Mapping):
                raise ConfigError(f"{place}: {group} must be a mapping of parameters, got {entries!r}.")
            for key, entry in (entries or {}).items():
                name = f"{group}.{key}"
                if isinstance(entry, dict):
                    free[name] = parse(Free, entry, f"{place}: {name}")
                else:
                    fixed[name] = entry
        return cls(fixed, free, place)

    def suggest(self, trial: SuggestsValues) -> dict[str, Value]:
        """Every parameter of one trial by dotted name, fixed ones included; made before anything is built."""
        values = dict(self.fixed)
        for name, parameter in self.free.items():
            if _holds(parameter.when, values):
                values[name] = parameter.suggest(name, trial)
        return values

    def values(self, params: Mapping[str, Value]) -> dict[str, Value]:
        """The configuration of a stored trial, as `suggest` gave it: its parameters and the fixed ones."""
        stored = {name: tidy(value) if isinstance(value, float) else value for name, value in params.items()}
        return {**self.fixed, **stored}

    def defaults(self, configs: Mapping[str, type[Settings]], preferred: Mapping[str, Value] = {}) -> dict[str, Value]:
        """The free values that are preferred or else the settings' own defaults.

        Only those that lie in the space and have an effect there.
        """
        values: dict[str, Value] = {}
        for name, parameter in self.free.items():
            group, _, field = name.partition(".")
            default = configs[group].model_fields[field].default
            known = [value for value in (preferred.get(name, default), default) if parameter.contains(value)]
            if known and _holds(parameter.when, {**self.fixed, **values}):
                values[name] = known[0]
        return values

    def possible(self, name: str, default: Value) -> list[Value]:
        """What a parameter may be: probes of a free one, a fixed value, or else its default."""
        return self.free[name].probes() if name in self.free else [self.fixed.get(name, default)]

    def fill(self, given: Mapping[str, Any], place: str) -> dict[str, Value]:
        """The free values of a configuration that was written by hand, checked as strictly as a search would make them.

        Parameters that are not given are left to the sampler. Fixed ones may be given if they agree.

        Raises:
            ConfigError: an unknown name, a value outside the space, or one that has no effect beside the others.
        """
        values: dict[str, Value] = {}
        for name, value in given.items():
            if name in self.fixed:
                if value != self.fixed[name]:
                    raise ConfigError(
                        f"{place}: {name} is fixed at {self.fixed[name]!r} in {self.place}, got {value!r}."
                    )
            elif name not in self.free:
                raise ConfigError(f"{place}: unknown parameter {name}. {guess(name, [*self.free, *self.fixed])}")
            elif not self.free[name].contains(value):
                raise ConfigError(f"{place}: {name} must lie in {self.free[name]} ({self.place}), got {value!r}.")
            else:
                values[name] = value
        for name in values:
            if not _holds(self.free[name].when, {**self.fixed, **values}):
                raise ConfigError(f"{place}: {name} has no effect beside these values (when: {self.free[name].when}).")
        return values

    def check(self, configs: Mapping[str, type[Settings]], most: int = MAX_COMBINATIONS) -> Checked:
        """Check every name and type, and every combination of points, against the settings they fill.

        Of a range without a step both ends are tried. Of more than `most` combinations of a group a quarter of that is
        a sample: each point, each pair of points, and seeded draws.

        Args:
            configs: group -> settings class, for example {"model": BladeConfig, "train": TrainConfig}.
            most: combinations of a group that are constructed.

        Raises:
            ConfigError: with the first law that is broken.
        """
        self._check_names(configs)
        constructed = total = 0
        for group, config in configs.items():
            found = self._construct(group, config, most)
            if self._free(group):
                constructed, total = constructed + found.constructed, total + found.total
            self._check_effect(group, config)
        return Checked(constructed, total)

    def check_stored(self, configs: Mapping[str, type[Settings]]) -> None:
        """Check what a study that was run before must have kept: names that are known, and ends that are allowed.

        Raises:
            ConfigError: this version of the program has no such setting.
        """
        self._check_names(configs)
        for group, config in configs.items():
            for low_or_high in (0, -1):
                ends = {name: parameter.probes()[low_or_high] for name, parameter in self._free(group).items()}
                parse(config, nest(self._active(ends, group)).get(group, {}), f"{self.place}: {group}")

    def _check_names(self, configs: Mapping[str, type[Settings]]) -> None:
        for name in (*self.fixed, *self.free):
            group, _, field = name.partition(".")
            if field not in configs[group].model_fields:
                raise ConfigError(
                    f"{self.place}: unknown {group} key {field}. {guess(field, configs[group].model_fields)}"
                )

    def _construct(self, group: str, config: type[Settings], most: int) -> Checked:
        """Build the settings of a group from its combinations, as strictly as a search must make them."""
        free = self._free(group)
        tried = [parameter.tried() for parameter in free.values()]
        total = math.prod(map(len, tried))
        draws = itertools.product(*tried) if total <= most else itertools.islice(_sample(tried), most // 4)
        waits = any(parameter.when for parameter in free.values())
        fixed, names = _fields(self.fixed, group), list(_fields(free, group))
        place, constructed = f"{self.place}: {group}", 0
        for draw in itertools.chain(_ends(tried), draws):  # a range that is too wide is said before what goes with what
            if waits:
                fields = _fields(self._active(dict(zip(free, draw, strict=True)), group), group)
            else:
                fields = {**fixed, **dict(zip(names, draw, strict=True))}
            parse(config, fields, place, strict=True)
            constructed += 1
        return Checked(min(constructed, total), total)

    def _free(self, group: str) -> dict[str, Free]:
        return {name: parameter for name, parameter in self.free.items() if name.startswith(group + ".")}

    def count(self) -> int | None:
        """The number of different configurations, or None where a range is continuous."""
        if any(parameter.points() is None for parameter in self.free.values()):
            return None
        conditioned_on = {other for parameter in self.free.values() for other in parameter.when}
        controls = {name: self.free[name].points() or [] for name in self.free if name in conditioned_on}
        draws = (self._active(dict(zip(controls, draw, strict=True))) for draw in itertools.product(*controls.values()))
        total = 0
        for values in {tuple(values.items()): values for values in draws}.values():
            rest = (p for name, p in self.free.items() if name not in controls and _holds(p.when, values))
            total += math.prod(len(parameter.points() or []) for parameter in rest)
        return total

    def canonical(self) -> dict[str, Any]:
        """Plain data for a fingerprint: dotted name -> fixed value or free range, sorted by name."""
        entries = {**self.fixed, **{name: parameter.canonical() for name, parameter in self.free.items()}}
        return json.loads(json.dumps(dict(sorted(entries.items()))))

    def to_mapping(self) -> dict[str, Any]:
        """The nested form that `from_mapping` reads."""
        return nest({**self.fixed, **{name: parameter.canonical() for name, parameter in self.free.items()}})

    def with_fixed(self, values: Mapping[str, Value], place: str) -> "Space":
        """The same space with further values fixed.

        Raises:
            ConfigError: one of them is free or fixed at another value here.
        """
        for name, value in values.items():
            if name in self.free or self.fixed.get(name, value) != value:
                raise ConfigError(f"{place}: {name} is given here and in {self.place}; keep one.")
        return Space({**self.fixed, **values}, self.free, self.place)

    def without(self, names: Collection[str]) -> "Space":
        """The same space without some of its free parameters."""
        return Space(self.fixed, {name: free for name, free in self.free.items() if name not in names}, self.place)

    def _with_dotted_conditions(self, name: str, parameter: Free) -> Free:
        """Conditions name parameters of their own group by their short name."""
        group = name.partition(".")[0]
        when = {other if "." in other else f"{group}.{other}": values for other, values in parameter.when.items()}
        return parameter.model_copy(update={"when": when})

    def _check_conditions(self) -> None:
        known = set(self.fixed)
        for name, parameter in self.free.items():
            for other, values in parameter.when.items():
                if other not in known:
                    raise ConfigError(f"{self.place}: {name} depends on {other}, which must stand before it.")
                allowed = self.free[other].probes() if other in self.free else [self.fixed[other]]
                if not set(values) <= set(allowed) and (other in self.fixed or self.free[other].choice):
                    raise ConfigError(f"{self.place}: {name} waits for {other} in {list(values)}, which has {allowed}.")
            known.add(name)

    def _active(self, draw: Mapping[str, Value], group: str = "") -> dict[str, Value]:
        """Fixed values, and those of `draw` whose conditions hold; of `group` only, where other groups hinder none."""
        values = {name: value for name, value in self.fixed.items() if name.startswith(group)}
        for name, value in draw.items():
            when = {other: allowed for other, allowed in self.free[name].when.items() if other.startswith(group)}
            if _holds(when, values):
                values[name] = value
        return values

    def _check_effect(self, group: str, config: type[Settings]) -> None:
        """A parameter that the model ignores under some values must say `when` it is searched."""
        for name in (*self.fixed, *self.free):
            if not name.startswith(group + "."):
                continue
            extra: Any = config.model_fields[name.partition(".")[2]].json_schema_extra
            for field, effective in (extra or {}).get("only_when", {}).items():
                other = f"{group}.{field}"
                default = config.model_fields[field].default
                possible = self.possible(other, default)
                reached = self.free[name].when.get(other, possible) if name in self.free else possible
                idle = [value for value in reached if value not in effective]
                if (name in self.free and idle) or len(idle) == len(possible):
                    way_out = f"add when: {{{field}: {effective}}}" if name in self.free else "drop it"
                    raise ConfigError(f"{self.place}: {name} has no effect where {other} is {idle[0]}; {way_out}.")


def nest(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """{"model.alpha": 0.5} -> {"model": {"alpha": 0.5}}."""
    nested: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        group, _, field = name.partition(".")
        nested.setdefault(group, {})[field] = value
    return nested


def _fields(values: Mapping[str, T], group: str) -> dict[str, T]:
    """Those of a group, by the names of its fields."""
    return {name.removeprefix(f"{group}."): value for name, value in values.items() if name.startswith(f"{group}.")}


def _ends(tried: Sequence[Sequence[Value]]) -> Iterator[tuple[Value, ...]]:
    """First points, and the last point of each parameter beside the first ones of the others."""
    firsts = [points[0] for points in tried]
    yield tuple(firsts)
    for place, points in enumerate(tried):
        yield (*firsts[:place], points[-1], *firsts[place + 1 :])


def _sample(tried: Sequence[Sequence[Value]]) -> Iterator[tuple[Value, ...]]:
    """Combinations without end: each point beside drawn ones, each pair of points likewise, then drawn ones alone."""
    generator = random.Random(0)  # noqa: S311 - a repeatable sample, not a secret

    def drawn(**given: Value) -> tuple[Value, ...]:
        return tuple(given.get(f"p{place}", generator.choice(points)) for place, points in enumerate(tried))

    few = [_spread(points) for points in tried]
    for place, points in enumerate(few):
        yield from (drawn(**{f"p{place}": point}) for point in points)
    for one, other in itertools.combinations(range(len(tried)), 2):
        yield from (drawn(**{f"p{one}": a, f"p{other}": b}) for a, b in itertools.product(few[one], few[other]))
    while True:
        yield drawn()


def _spread(points: Sequence[Value]) -> Sequence[Value]:
    """All of them, or of many FEW at equal distances, both ends among them."""
    if len(points) <= FEW:
        return points
    return [points[place * (len(points) - 1) // (FEW - 1)] for place in range(FEW)]


def _holds(when: Mapping[str, tuple[Value, ...]], values: Mapping[str, Value]) -> bool:
    return all(values.get(name) in allowed for name, allowed in when.items())
