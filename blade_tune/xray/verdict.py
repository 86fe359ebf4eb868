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
TOO_COARSE = (
    0.25  # share of the level; there is no verdict if only larger differences could be found
)


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
        figures = {name: getattr(self, name) for name in names}
        return {"verdict": self.verdict, **figures, "details": self.details}

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
    count = len(with_U)
    difference, error = _paired(with_U, without_U)
    if count < 2:
        # Nothing can be said.
        low, high, detectable = -LARGEST, LARGEST, LARGEST
    else:
        reach = float(stdtrit(count - 1, 1 - TAIL)) * error
        low, high = difference - reach, difference + reach
        detectable = reach + float(stdtrit(count - 1, POWER)) * error
    return Finding(
        with_it=mean(with_U),
        without=mean(without_U),
        difference=difference,
        low=low,
        high=high,
        detectable=detectable,
        users=count,
        details=details,
    )


def clarity(with_U: Gains, without_U: Gains) -> float:
    """Return the mean difference divided by its standard error."""
    difference, error = _paired(with_U, without_U)
    return difference / error


def _paired(with_U: Gains, without_U: Gains) -> tuple[float, float]:
    """Return the mean difference and its standard error, which is at least that of one user with the largest gain."""
    difference_U = with_U - without_U
    spread = float(difference_U.std(ddof=1)) if len(with_U) > 1 else LARGEST
    count = max(len(with_U), 1)
    error = max(spread / sqrt(count), LARGEST / count)
    return mean(difference_U), error


def mean(gains_U: NDArray[Any]) -> float:
    """Return the mean over users, 0 without users."""
    return float(gains_U.mean()) if len(gains_U) else 0.0
