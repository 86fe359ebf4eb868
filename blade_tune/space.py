"""Search spaces: the parameters that are fixed, and those that a search may vary.

A space file has the groups `model` and `train`. In a group, a bare value is a fixed parameter, and a mapping with one
of the keys float, int or choice is a free one. A parameter's name is its dotted key, such as `model.lambda_`, in files,
the dashboard and tables alike.

A free parameter may depend on parameters before it (`when`): it is suggested only where each of those has one of the
listed values, and is absent from the configuration elsewhere.
"""

import itertools
import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from blade_tune.config import Settings, guess, parse, read_yaml
from blade_tune.errors import ConfigError
from blade_tune.parameter import Free, SuggestsValues, Value, tidy

GROUPS = ("model", "train")


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
        for group, content in data.items():
            if group not in GROUPS:
                raise ConfigError(f"{place}: unknown group {group}. {guess(str(group), GROUPS)}")
            entries = content or {}
            if not isinstance(entries, Mapping):
                raise ConfigError(
                    f"{place}: {group} must be a mapping of parameters, got {entries!r}."
                )
            for key, entry in entries.items():
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
        values = dict(self.fixed)
        for name, value in params.items():
            values[name] = tidy(value) if isinstance(value, float) else value
        return values

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
            candidates = (preferred.get(name, default), default)
            allowed = [value for value in candidates if parameter.contains(value)]
            if allowed and _holds(parameter.when, {**self.fixed, **values}):
                values[name] = allowed[0]
        return values

    def possible(self, name: str, default: Value) -> list[Value]:
        """Return the values that a parameter may have: probes of a free one, a fixed value, or else its default."""
        if name in self.free:
            return self.free[name].probes()
        return [self.fixed.get(name, default)]

    def fill(self, params: Mapping[str, Any], place: str) -> dict[str, Value]:
        """Check a configuration that was written by hand, and return the values of its free parameters.

        Args:
            params: dotted name -> value; parameters that are missing are left to the sampler, and fixed ones may be
                given with the value that they have anyway.
            place: where the configuration stands, the first words of an error.

        Raises:
            ConfigError: a name is unknown, a value lies outside the space, or has no effect given the others.
        """
        values: dict[str, Value] = {}
        for name, value in params.items():
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

    def point(self, values: Mapping[str, Value]) -> dict[str, Value] | None:
        """Return the free parameters of a whole configuration; None where it lies outside the space.

        Args:
            values: every setting by dotted name.
        """
        if any(values[name] != value for name, value in self.fixed.items()):
            return None
        point: dict[str, Value] = {}
        for name, parameter in self.free.items():
            if _holds(parameter.when, {**self.fixed, **point}):
                if not parameter.contains(values[name]):
                    return None
                point[name] = values[name]
        return point

    def nearest(self, values: Mapping[str, Value]) -> dict[str, Value | None]:
        """Return the free parameters of the point that is nearest to a configuration of another space.

        Each has the configuration's value, or else its own value that is nearest to it.

        Args:
            values: settings by dotted name; none, some or all of those of this space, and any others.

        Returns:
            Every free parameter whose `when` holds; None where the configuration says nothing that this space has.
        """
        point: dict[str, Value | None] = {}
        for name, parameter in self.free.items():
            if _holds(parameter.when, {**self.fixed, **point}):
                value = values.get(name)
                point[name] = None if value is None else parameter.nearest(value)
        return point

    def count(self) -> int | None:
        """Return the number of different configurations, or None if a range is continuous."""
        points = {name: parameter.points() for name, parameter in self.free.items()}
        if None in points.values():
            return None
        sizes = {name: len(values or []) for name, values in points.items()}
        # Only parameters that others depend on are combined one by one; the rest multiply the count of each case.
        conditioned_on = {other for parameter in self.free.values() for other in parameter.when}
        controls = {name: points[name] or [] for name in self.free if name in conditioned_on}
        cases = {}
        for combination in itertools.product(*controls.values()):
            values = self.active(dict(zip(controls, combination, strict=True)))
            # Combinations that differ in inactive controls only are one case.
            cases[tuple(values.items())] = values
        total = 0
        for values in cases.values():
            total += math.prod(
                sizes[name]
                for name, parameter in self.free.items()
                if name not in controls and _holds(parameter.when, values)
            )
        return total

    def free_of(self, group: str) -> dict[str, Free]:
        """Return the free parameters of one group by dotted name."""
        return {
            name: parameter for name, parameter in self.free.items() if name.startswith(f"{group}.")
        }

    def active(self, draw: Mapping[str, Value], group: str = "") -> dict[str, Value]:
        """Return the fixed values and those of `draw` whose `when` holds.

        Of a `group`, only its own values are returned, and conditions on other groups count as held.

        Args:
            draw: dotted name of a free parameter -> value, in the order of the space.
            group: the group; empty for all.
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

    def canonical(self) -> dict[str, Any]:
        """Return plain data for a fingerprint: dotted name -> fixed value or free range, sorted by name."""
        by_name = dict(sorted(self._entries().items()))
        return json.loads(json.dumps(by_name))

    def to_mapping(self) -> dict[str, Any]:
        """Return the space as the nested mapping that `from_mapping` reads."""
        return nest(self._entries())

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

    def narrowed(self, values: Mapping[str, Value]) -> "Space":
        """Return the part of this space in which parameters, fixed or free here, have the given values.

        A free parameter that waits for another value of one of them is left out; one that waits for just this value
        waits no more.
        """
        unmet = [
            name
            for name, parameter in self.free.items()
            if any(
                value not in parameter.when.get(other, [value]) for other, value in values.items()
            )
        ]
        left = {}
        for name, parameter in self.without(unmet).free.items():
            when = {other: met for other, met in parameter.when.items() if other not in values}
            left[name] = parameter.model_copy(update={"when": when})
        fixed = {**self.fixed, **values}
        return Space(fixed, {name: left[name] for name in left if name not in values}, self.place)

    def without(self, names: Collection[str]) -> "Space":
        """Return this space without some free parameters, given by dotted name, and without those that wait for one."""
        left: dict[str, Free] = {}
        for name, parameter in self.free.items():
            known = {*self.fixed, *left}
            if name not in names and known >= parameter.when.keys():
                left[name] = parameter
        return Space(self.fixed, left, self.place)

    def _entries(self) -> dict[str, Any]:
        """Return the entries of a space file by dotted name: fixed values, then free ranges as plain data."""
        ranges = {name: parameter.canonical() for name, parameter in self.free.items()}
        return {**self.fixed, **ranges}

    def _with_dotted_conditions(self, name: str, parameter: Free) -> Free:
        """Return the parameter with dotted names in `when`, which may name parameters of its own group without it."""
        group = name.partition(".")[0]
        when = {}
        for other, values in parameter.when.items():
            dotted = other if "." in other else f"{group}.{other}"
            when[dotted] = values
        return parameter.model_copy(update={"when": when})

    def _check_conditions(self) -> None:
        known = set(self.fixed)
        for name, parameter in self.free.items():
            for other, values in parameter.when.items():
                if other not in known:
                    raise ConfigError(
                        f"{self.place}: {name} depends on {other}, which must stand before it."
                    )
                is_fixed = other in self.fixed
                allowed = [self.fixed[other]] if is_fixed else self.free[other].probes()
                # Of a range only the ends are known here, so its values are not checked.
                is_countable = is_fixed or self.free[other].choice is not None
                if is_countable and not set(values) <= set(allowed):
                    raise ConfigError(
                        f"{self.place}: {name} waits for {other} in {list(values)}, which has {allowed}."
                    )
            known.add(name)


def nest(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return values by dotted name as nested mappings: {"model.alpha": 0.5} becomes {"model": {"alpha": 0.5}}."""
    nested: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        group, _, field = name.partition(".")
        nested.setdefault(group, {})[field] = value
    return nested


def _holds(when: Mapping[str, tuple[Value, ...]], values: Mapping[str, Value | None]) -> bool:
    return all(values.get(name) in allowed for name, allowed in when.items())
