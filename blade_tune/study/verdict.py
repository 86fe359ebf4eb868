"""The verdict on a winner: whether it lies above the reference baseline, and which untuned baselines it is below.

Winner and reference baseline are compared user by user on the same validation rows. `pair` reduces the comparison to
four numbers when a trial ends; `of_pair` turns them into a difference with an interval once it is known from how many
candidates the winner was chosen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from blade_tune.metrics import gains
from blade_tune.storage.trial_record import TrialRecord
from blade_tune.training.baselines import REFERENCE

PAIRED = "paired"  # user attribute of a completed trial, see `pair`
LEVEL = 0.95  # of the interval
# Metrics lie between 0 and 1, so no difference of two is larger; it stands for the standard error where there is only
# one user, whose spread is not known.
LARGEST_ERROR = 1.0

Ranks = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Verdict:
    """The mean metric of a winner minus that of the untuned reference baseline, for the same users, with an interval.

    The interval is of 95%. What the winner may owe to having been chosen on these users is allowed for: for the best
    trial of a search the lower end holds for all trials at once (Bonferroni), and from the mean of a confirmed winner
    is taken off what it does not reach out of bag.
    """

    baseline: str  # the name of the reference baseline
    difference: float
    low: float
    high: float

    @property
    def is_above(self) -> bool:
        """Whether the interval lies above 0."""
        return self.low > 0

    @property
    def brief(self) -> str:
        """The finding without figures, "above BASELINE" or "not above BASELINE"."""
        return f"{'above' if self.is_above else 'not above'} {self.baseline}"

    def __str__(self) -> str:
        return f"{self.brief}: {self.difference:+.4f} ({self.low:+.4f} to {self.high:+.4f})"

    @property
    def facts(self) -> dict[str, Any]:
        """The fields and the sentence, as a dictionary for JSON."""
        return {**vars(self), "is_above": self.is_above, "words": str(self)}


def below_untuned(winner: str, figure: float, baselines: Mapping[str, float]) -> str:
    """Return a sentence on the untuned baselines that reach more than a winner does; empty where there is none.

    Args:
        winner: the name of the winner, to begin the sentence.
        figure: the winner's metric on the same rows as the baselines'.
        baselines: the metric of each untuned baseline, by name.
    """
    above = {name: reached for name, reached in baselines.items() if figure < reached}
    if not above:
        return ""
    names = ", ".join(f"{name} {reached:.4f}" for name, reached in above.items())
    sentence = f"{winner} ({figure:.4f}) is BELOW untuned {names}"
    if any(map(is_popularity, above)):
        sentence += ": recommending what is popular does better"
    return f"{sentence}."


def is_popularity(baseline: str) -> bool:
    """Whether a baseline only counts how often items occur."""
    return baseline.startswith("popularity")


def pair(ranks_U: Ranks, baseline_ranks_U: Ranks, metric: str) -> dict[str, Any]:
    """Compare the ranks of a model with those of the reference baseline, user by user.

    Args:
        ranks_U: (U,) the rank that the model gives each user's held-out item.
        baseline_ranks_U: (U,) the rank that the reference baseline gives it, users in the same order.
        metric: the name of the metric.

    Returns:
        For JSON: the baseline's name, the mean difference of the metric over users, its standard error, and the number
        of users.
    """
    gains_U = gains(ranks_U, metric) - gains(baseline_ranks_U, metric)
    num_users = len(gains_U)
    error = float(gains_U.std(ddof=1)) / sqrt(num_users) if num_users > 1 else LARGEST_ERROR
    return {
        "baseline": REFERENCE,
        "difference": float(gains_U.mean()),
        "error": error,
        "users": num_users,
    }


def of_pair(paired: Mapping[str, Any], num_candidates: int = 1) -> Verdict:
    """Return the verdict on a winner by Student's t over users.

    Args:
        paired: the comparison of the winner with the reference baseline, from `pair`.
        num_candidates: from how many candidates the winner was chosen by figures of the same users.
    """
    # Imported here, because it takes a tenth of a second, which workers need not wait.
    from scipy.special import stdtrit

    difference, error = paired["difference"], paired["error"]
    df = max(1, paired["users"] - 1)
    tail = (1 - LEVEL) / 2
    # The winner's figure is the largest of many, so chance alone favors it; only the lower end has to allow for that.
    low = difference - float(stdtrit(df, 1 - tail / num_candidates)) * error
    high = difference + float(stdtrit(df, 1 - tail)) * error
    return Verdict(paired["baseline"], difference, low, high)


def of_best(best: FrozenTrial | None, num_completed: int) -> Verdict | None:
    """Return the verdict on a search's best trial.

    Args:
        best: the best trial; None where none has completed.
        num_completed: how many trials have completed, each of them a candidate.

    Returns:
        None where there is no best trial, or it was not compared when it ended.
    """
    paired = None if best is None else TrialRecord(best).get(TrialRecord.paired)
    return None if paired is None else of_pair(paired, num_completed)
