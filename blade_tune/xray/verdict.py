"""Whether a paired difference over users shows that something matters, and what it could have shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Gains = NDArray[np.float64]
XrayVerdict = Literal["matters", "does not show", "too few users to tell"]

NAMES = ("order", "recency", "sets", "told_set", "repeats", "popularity")
LEVEL = 0.95  # with which all lower ends hold together
TAIL = (1 - LEVEL) / len(NAMES)  # beyond either end of one interval (Bonferroni)
POWER = 0.8  # with which the smallest detectable difference is found
LARGEST = 1.0  # difference of one user
TOO_COARSE = 0.25  # of the level reached: where only larger differences could be found, nothing is said


@dataclass(frozen=True)
class Finding:
    """What using a thing adds to NDCG@10, over users."""

    with_it: float  # mean with the thing
    without: float  # and without
    difference: float
    low: float
    high: float
    detectable: float  # the smallest true difference that is found with probability POWER
    users: int
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> XrayVerdict:
        """That it matters, where the interval lies above 0; else whether a difference worth the name was ruled out."""
        if self.low > 0:
            return "matters"
        too_coarse = self.detectable > TOO_COARSE * max(self.with_it, self.without)
        return "too few users to tell" if too_coarse else "does not show"

    @property
    def facts(self) -> dict[str, Any]:
        """For JSON."""
        names = ("difference", "low", "high", "detectable", "users", "with_it", "without")
        return {"verdict": self.verdict, **{name: getattr(self, name) for name in names}, "details": self.details}

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> "Finding":
        """Back from JSON."""
        return cls(**{name: value for name, value in facts.items() if name != "verdict"})


def compare(with_U: Gains, without_U: Gains, details: Mapping[str, Any]) -> Finding:
    """The mean difference of gains with Student's interval.

    Args:
        with_U: gains of users with the thing.
        without_U: and without, of the same users.
        details: what else is told.
    """
    count, difference, error = len(with_U), *_paired(with_U, without_U)
    if count < 2:
        return Finding(mean(with_U), mean(without_U), difference, -LARGEST, LARGEST, LARGEST, count, details)
    reach = float(stdtrit(count - 1, 1 - TAIL)) * error
    detectable = reach + float(stdtrit(count - 1, POWER)) * error
    ends = difference - reach, difference + reach
    return Finding(mean(with_U), mean(without_U), difference, *ends, detectable, count, details)


def clarity(with_U: Gains, without_U: Gains) -> float:
    """The mean difference over its error."""
    difference, error = _paired(with_U, without_U)
    return difference / error


def _paired(with_U: Gains, without_U: Gains) -> tuple[float, float]:
    """The mean difference and its error, which is at least what one user with all to gain would make of it."""
    difference_U, count = with_U - without_U, len(with_U)
    spread = float(difference_U.std(ddof=1)) if count > 1 else LARGEST
    return mean(difference_U), max(spread / sqrt(max(count, 1)), LARGEST / max(count, 1))


def mean(gains_U: NDArray[Any]) -> float:
    """Over users; 0 of none."""
    return float(gains_U.mean()) if len(gains_U) else 0.0
