"""The result of a confirmation: the top configurations of a search, each trained on the same fresh seeds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial

from blade_tune.parameter import Value
from blade_tune.selection.assumptions import broken
from blade_tune.selection.out_of_bag import Expected
from blade_tune.selection.statistics import Estimate
from blade_tune.study.stored import StoredStudy
from blade_tune.study.verdict import Verdict, below_untuned


@dataclass(frozen=True)
class Candidate:
    """One configuration, with its figure in the search and its figures on fresh seeds."""

    trial: int  # number of its best trial in the search
    values: Mapping[str, Value]  # the configuration, by dotted parameter name
    # The figure of that trial, the highest of many noisy ones, and so too high on average.
    search_value: float
    runs: tuple[int, ...]  # numbers of its runs in the study of runs, in order of seeds
    scores: tuple[float, ...]  # the runs' values of the study's metric, on validation rows
    estimate: Estimate  # of the mean over seeds or over users, see `Confirmation.over`
    prob_best: float  # probability that no other candidate has a higher true mean
    num_parameters: int
    seconds_per_epoch: float

    @property
    def inflation(self) -> float:
        """The figure in the search minus the confirmed mean, positive where the search overestimates."""
        return self.search_value - self.estimate.mean


@dataclass(frozen=True)
class Confirmation:
    """The candidates of a search, the highest confirmed mean first, and the verdict on the first, the winner."""

    metric: str
    over: str  # what estimates are means over: "fresh seed", or "user" for models that no seed changes
    seeds: tuple[int, ...]  # shared by all candidates
    candidates: tuple[Candidate, ...]
    # The interval of the winner's mean over the users at hand, corrected for its having been chosen.
    winner_interval: tuple[float, float]
    # None where the reference baseline or the winner's ranks were not available.
    verdict: Verdict | None = None
    # The metric of each untuned baseline on the same rows, by name.
    baselines: Mapping[str, float] = field(default_factory=dict)
    # What the winner reaches for other users; None where ranks were not available.
    expected: Expected | None = None
    # Every confirmation of the search that was made, this one the last: its time, trials, seeds, winner and figures.
    made: tuple[Mapping[str, Any], ...] = ()
    # The study of runs from which it was computed.
    runs: StoredStudy = field(compare=False, repr=False, kw_only=True)

    @property
    def winner(self) -> Candidate:
        """The candidate with the highest confirmed mean."""
        return self.candidates[0]

    @property
    def winning_runs(self) -> list[FrozenTrial]:
        """The winner's runs, one per seed, in order of seeds."""
        trials = self.runs.trials
        return [trials[number] for number in self.winner.runs]

    @property
    def doubts(self) -> list[str]:
        """A sentence for each assumption of the intervals that the scores break."""
        if self.over == "user":
            return []
        scores_CS = np.array([candidate.scores for candidate in self.candidates])
        return broken(scores_CS, [f"trial {candidate.trial}" for candidate in self.candidates])

    @property
    def warning(self) -> str:
        """A sentence on the untuned baselines that the winner is below; empty if it is below none."""
        mean = self.winner.estimate.mean
        return below_untuned(f"trial {self.winner.trial}", mean, self.baselines)

    @property
    def smallest(self) -> Candidate:
        """The candidate with the fewest parameters, then the shortest epochs, within one standard error of the winner.

        This is the one-standard-error rule (Breiman et al. 1984, Classification and Regression Trees, section 3.4.3).
        The error over users says nothing about a difference between candidates, so for models that no seed changes
        the winner itself is returned.
        """
        if self.over == "user":
            return self.winner
        best = self.winner.estimate
        close = [each for each in self.candidates if each.estimate.mean >= best.mean - best.error]
        return min(close, key=lambda each: (each.num_parameters, each.seconds_per_epoch))
