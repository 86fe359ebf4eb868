"""What a confirmation found: the top configurations of a search, each trained on the same fresh seeds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from optuna.trial import FrozenTrial

from blade_tune.parameter import Value
from blade_tune.selection.statistics import Estimate
from blade_tune.study.stored import StoredStudy
from blade_tune.study.verdict import Verdict, below_untuned


@dataclass(frozen=True)
class Candidate:
    """One configuration, as the search saw it and as fresh seeds see it."""

    trial: int  # its best trial in the search
    values: Mapping[str, Value]  # the configuration by dotted name
    search_value: float  # of that trial: the highest of many noisy ones, so too high on average
    runs: tuple[int, ...]  # numbers in the study of runs, in order of seeds
    scores: tuple[float, ...]  # of these, by the study's metric on validation rows
    estimate: Estimate  # of their mean, over what the confirmation is over
    prob_best: float  # that no other candidate has a higher true mean
    num_parameters: int
    seconds_per_epoch: float

    @property
    def inflation(self) -> float:
        """How much higher the search's figure is than the confirmed mean."""
        return self.search_value - self.estimate.mean


@dataclass(frozen=True)
class Confirmation:
    """All candidates of a study, the highest confirmed mean first."""

    metric: str
    over: str  # what scores are means over: "fresh seed", or "user" where another seed changes nothing
    seeds: tuple[int, ...]  # shared by all candidates
    candidates: tuple[Candidate, ...]
    winner_interval: tuple[float, float]  # of the first one's mean, corrected for having been chosen
    verdict: Verdict | None = None  # on the first one; None where the reference baseline or ranks were not at hand
    baselines: Mapping[str, float] = field(default_factory=dict)  # what untuned models reach on the same rows
    runs: StoredStudy = field(compare=False, repr=False, kw_only=True)  # the study of runs that it was made of

    @property
    def winner(self) -> Candidate:
        """The candidate of the highest confirmed mean."""
        return self.candidates[0]

    @property
    def winning_runs(self) -> list[FrozenTrial]:
        """The winner's runs, one a seed."""
        trials = self.runs.trials
        return [trials[number] for number in self.winner.runs]

    @property
    def warning(self) -> str:
        """Which untuned baselines the winner is below, in words; empty where it is below none."""
        return below_untuned(f"trial {self.winner.trial}", self.winner.estimate.mean, self.baselines)

    @property
    def smallest(self) -> Candidate:
        """The smallest, then fastest, of all within one standard error of the winner's mean.

        (Breiman et al. 1984, Classification and Regression Trees, section 3.4.3.) The error over users says nothing of
        a difference, so of models that no seed changes it is the winner.
        """
        if self.over == "user":
            return self.winner
        close = [
            c for c in self.candidates if c.estimate.mean >= self.winner.estimate.mean - self.winner.estimate.error
        ]
        return min(close, key=lambda candidate: (candidate.num_parameters, candidate.seconds_per_epoch))
