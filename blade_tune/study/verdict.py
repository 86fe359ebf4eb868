"""Whether a winner lies above the reference baseline: a paired comparison, user by user; and below which it lies."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

from optuna.trial import FrozenTrial
from torch import Tensor

from blade_tune.metrics import gains
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.training.baselines import REFERENCE

PAIRED = "paired"  # user attribute of a completed trial, see `pair`
LEVEL = 0.95
LARGEST_ERROR = (
    1.0  # of a difference of metrics, which lie between 0 and 1: that of one user, whose spread is not known
)


@dataclass(frozen=True)
class Verdict:
    """A winner's mean minus that of the baseline at its defaults, for the same users, with its 95% interval.

    The lower end holds for all candidates at once that the winner was chosen from (Bonferroni).
    """

    baseline: str
    difference: float
    low: float
    high: float

    @property
    def is_above(self) -> bool:
        """Whether the interval lies above 0."""
        return self.low > 0

    @property
    def brief(self) -> str:
        """The finding alone."""
        return f"{'above' if self.is_above else 'not above'} {self.baseline}"

    def __str__(self) -> str:
        return f"{self.brief}: {self.difference:+.4f} ({self.low:+.4f} to {self.high:+.4f})"

    @property
    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "is_above": self.is_above, "words": str(self)}


def below_untuned(winner: str, figure: float, baselines: Mapping[str, float]) -> str:
    """A sentence on the untuned models that reach more than a winner does; empty where there is none.

    Args:
        winner: what it is called.
        figure: what it reaches, on the same rows as the baselines.
        baselines: what they reach, by name.
    """
    above = {name: reached for name, reached in baselines.items() if figure < reached}
    if not above:
        return ""
    names = ", ".join(f"{name} {reached:.4f}" for name, reached in above.items())
    popular = ": recommending what is popular does better" if any(map(is_popularity, above)) else ""
    return f"{winner} ({figure:.4f}) is BELOW untuned {names}{popular}."


def is_popularity(baseline: str) -> bool:
    """Whether a baseline counts items and no more."""
    return baseline.startswith("popularity")


def pair(ranks_U: Tensor, baseline_ranks_U: Tensor, metric: str) -> dict[str, Any]:
    """The mean difference of a metric over users, its standard error, and the number of users."""
    gains_U = gains(ranks_U, metric) - gains(baseline_ranks_U, metric)
    error = float(gains_U.std()) / sqrt(len(gains_U)) if len(gains_U) > 1 else LARGEST_ERROR
    return {"baseline": REFERENCE, "difference": float(gains_U.mean()), "error": error, "users": len(gains_U)}


def of_pair(paired: Mapping[str, Any], num_candidates: int = 1) -> Verdict:
    """By Student's t over users.

    Args:
        paired: of `pair`.
        num_candidates: how many the winner was chosen from by the same users.
    """
    from scipy.special import stdtrit  # a tenth of a second, which workers do without

    tail, df = (1 - LEVEL) / 2, max(1, paired["users"] - 1)
    difference, error = paired["difference"], paired["error"]
    low = difference - float(stdtrit(df, 1 - tail / num_candidates)) * error
    return Verdict(paired["baseline"], difference, low, difference + float(stdtrit(df, 1 - tail)) * error)


def of_best(best: FrozenTrial | None, num_completed: int) -> Verdict | None:
    """That of a search's best trial; None where it was not compared when it ended."""
    paired = None if best is None else TrialRecord(best).get(TrialRecord.paired)
    return None if paired is None else of_pair(paired, num_completed)
