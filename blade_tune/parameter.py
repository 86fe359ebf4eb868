"""Free parameters of a search space: what values one may have, and how a trial is asked for one."""

import math
from collections.abc import Sequence
from typing import Any, Protocol, Self, TypeGuard

from pydantic import Field, FiniteFloat, model_validator

from blade_tune.config import Settings

Value = float | int | str | bool


class SuggestsValues(Protocol):
    """The methods of an Optuna trial that a space needs."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float:
        """Suggest a float in [low, high]."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        """Suggest an int in [low, high]."""

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        """Suggest one of the choices."""


class Free(Settings):
    """A free parameter, declared by exactly one of `float` (a range), `int` (a range) and `choice`."""

    float_: tuple[FiniteFloat, FiniteFloat] | None = Field(
        None, alias="float", description="range, both ends included"
    )
    int_: tuple[int, int] | None = Field(None, alias="int", description="range, both ends included")
    choice: tuple[Value, ...] | None = Field(
        None, min_length=1, description="the values to choose from"
    )
    step: float | None = Field(None, gt=0, description="distance of neighbors in a range")
    log: bool = Field(False, description="sample a range evenly in its logarithm")
    when: dict[str, tuple[Value, ...]] = Field(
        {}, description="only where each named parameter has one of these values"
    )

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        declared = [kind for kind in (self.float_, self.int_, self.choice) if kind is not None]
        if len(declared) != 1:
            raise ValueError("must have exactly one of float, int, choice")
        if self.choice is None:
            self._check_range()
        else:
            self._check_choice(self.choice)
        return self

    def _check_choice(self, choice: Sequence[Value]) -> None:
        if self.step is not None or self.log:
            raise ValueError("step and log go with float or int, not with choice")
        numbers = [value for value in choice if isinstance(value, float)]
        if not all(map(math.isfinite, numbers)):
            raise ValueError("a choice must be finite")
        # 1, 1.0 and true are equal, also in a stored trial.
        if len(set(choice)) < len(choice):
            raise ValueError("a choice is given twice")

    def _check_range(self) -> None:
        low, high = self.bounds
        if low > high:
            raise ValueError(f"a range goes from low to high, got [{low}, {high}]")
        if self.log and (self.step is not None or low <= 0):
            raise ValueError("log needs a range above 0 and no step")
        if self.step is None:
            return
        if self.int_ is not None and self.step != int(self.step):
            raise ValueError("the step of an int range must be an integer")
        # The high end must be one of the points, for Optuna would lower it to the last full step.
        num_steps = (high - low) / self.step
        if abs(num_steps - round(num_steps)) > 1e-9:
            raise ValueError(f"steps of {self.step:g} from {low} do not reach {high}")

    @property
    def bounds(self) -> tuple[float, float]:
        """Low and high end of a range; NaN for a choice."""
        return self.float_ or self.int_ or (math.nan, math.nan)

    def points(self) -> list[Value] | None:
        """Return all values in order, or None for a continuous range."""
        if self.choice is not None:
            return list(self.choice)
        low, high = self.bounds
        if self.int_ is not None:
            return list(range(int(low), int(high) + 1, int(self.step or 1)))
        if self.step is None:
            return [low] if low == high else None
        num_steps = round((high - low) / self.step)
        return [tidy(low + i * self.step) for i in range(num_steps + 1)]

    def probes(self) -> list[Value]:
        """Return all values of a choice, or both ends of a range."""
        return list(self.choice) if self.choice is not None else list(self.bounds)

    def tried(self) -> Sequence[Value]:
        """Return the values that a check of the space tries: all of them, or both ends of a continuous range."""
        if self.int_ is not None:
            # A range may have millions of values, so they are not listed.
            low, high = self.int_
            return range(low, high + 1, int(self.step or 1))
        return self.points() or self.probes()

    def contains(self, value: Any) -> bool:
        """Return whether a search may suggest the value."""
        # In Python True == 1, but a setting that is a bool is no number.
        is_bool = isinstance(value, bool)
        points = self.points()
        if points is not None:
            return any(value == point for point in points if isinstance(point, bool) == is_bool)
        if is_bool or not isinstance(value, int | float):
            return False
        low, high = self.bounds
        return low <= value <= high

    def nearest(self, value: Value) -> Value | None:
        """Return the value of this parameter that is nearest to another; of two that are as near, the first.

        Returns:
            None where nothing is near: the other is no number, or no number can be chosen, and it is no choice either.
        """
        points = self.points()
        if points is not None and self.contains(value):
            return next(point for point in points if point == value)
        if not _is_number(value):
            return None
        if points is None:
            low, high = self.bounds
            return float(min(max(value, low), high))
        numbers = [point for point in points if _is_number(point)]
        return min(numbers, key=lambda point: abs(point - value), default=None)

    def suggest(self, name: str, trial: SuggestsValues) -> Value:
        """Ask a trial for a value of this parameter under its dotted name."""
        if self.choice is not None:
            value: Value = trial.suggest_categorical(name, list(self.choice))
            return value
        low, high = self.bounds
        if self.int_ is not None:
            return trial.suggest_int(
                name, int(low), int(high), step=int(self.step or 1), log=self.log
            )
        return tidy(trial.suggest_float(name, low, high, step=self.step, log=self.log))

    def canonical(self) -> dict[str, Any]:
        """Return plain data that is equal for two parameters if and only if they search the same values."""
        form = self.model_dump(by_alias=True, exclude_defaults=True, mode="json")
        if self.int_ is not None and self.step == 1:
            del form["step"]
        return form

    def __str__(self) -> str:
        if self.choice is not None:
            return "{" + ", ".join(map(str, self.choice)) + "}"
        low, high = self.bounds
        log = " log" if self.log else ""
        step = f" step {self.step:g}" if self.step else ""
        return f"[{low:g}, {high:g}]{log}{step}"


def _is_number(value: Value) -> TypeGuard[float | int]:
    """Whether a value is a finite number; a bool is none."""
    is_bool = isinstance(value, bool)
    return isinstance(value, float | int) and not is_bool and math.isfinite(value)


def tidy(value: float) -> float:
    """Return a float rounded to 12 significant digits, without the rounding errors of added steps: 0.1 + 0.2 is 0.3."""
    return float(f"{value:.12g}")
