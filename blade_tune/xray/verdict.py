"""Statistics of a comparison: a paired difference over users, its interval, and the verdict on whether it matters."""

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
LEVEL = 0.95  # probability that the lower ends of all intervals hold together
TAIL = (1 - LEVEL) / len(NAMES)  # probability beyond either end of one interval (Bonferroni)
POWER = 0.8  # probability with which the smallest detectable difference is found
LARGEST = 1.0  # largest possible difference of one user
# Share of the level reached; if only larger differences could be found, there is no verdict
TOO_COARSE = 0.25


@dataclass(frozen=True)
class Finding:
    """Result of a comparison: what the use of a property adds to the mean NDCG@10 over users."""

    with_it: float  # mean of the recommender that uses the property
    without: float  # mean of the one that does not
    difference: float
    low: float  # lower end of the difference's interval
    high: float  # upper end of the difference's interval
    detectable: float  # the smallest true difference that is found with probability POWER
    users: int
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> XrayVerdict:
        """Verdict: the property matters if the interval lies above 0; else whether a relevant difference would show."""
        if self.low > 0:
            return "matters"
        too_coarse = self.detectable > TOO_COARSE * max(self.with_it, self.without)
        return "too few users to tell" if too_coarse else "does not show"

    @property
    def facts(self) -> dict[str, Any]:
        """Plain facts for JSON, from which `of_facts` restores the finding."""
        names = ("difference", "low", "high", "detectable", "users", "with_it", "without")
        return {
            "verdict": self.verdict,
            **{name: getattr(self, name) for name in names},
            "details": self.details,
        }

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> "Finding":
        """Restore a finding from its facts."""
        return cls(**{name: value for name, value in facts.items() if name != "verdict"})


def compare(with_U: Gains, without_U: Gains, details: Mapping[str, Any]) -> Finding:
    """Return the mean difference of two recommenders' gains with Student's t-interval.

    Args:
        with_U: gains of users by the recommender that uses the property.
        without_U: gains of the same users by the one that does not.
        details: further plain facts for the finding.
    """
    count, difference, error = len(with_U), *_paired(with_U, without_U)
    if count < 2:
        return Finding(
            mean(with_U), mean(without_U), difference, -LARGEST, LARGEST, LARGEST, count, details
        )
    reach = float(stdtrit(count - 1, 1 - TAIL)) * error
    detectable = reach + float(stdtrit(count - 1, POWER)) * error
    ends = difference - reach, difference + reach
    return Finding(mean(with_U), mean(without_U), difference, *ends, detectable, count, details)


def clarity(with_U: Gains, without_U: Gains) -> float:
    """Return the mean difference divided by its standard error."""
    difference, error = _paired(with_U, without_U)
    return difference / error


def _paired(with_U: Gains, without_U: Gains) -> tuple[float, float]:
    """Return the mean difference and its standard error, which is at least that of one user with the largest gain."""
    difference_U, count = with_U - without_U, len(with_U)
    spread = float(difference_U.std(ddof=1)) if count > 1 else LARGEST
    return mean(difference_U), max(spread / sqrt(max(count, 1)), LARGEST / max(count, 1))


def mean(gains_U: NDArray[Any]) -> float:
    """Return the mean over users, 0 without users."""
    return float(gains_U.mean()) if len(gains_U) else 0.0
