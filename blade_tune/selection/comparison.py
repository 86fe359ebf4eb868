"""The result of a comparison: the models with their confirmed winners, the best first, and the pairs of models."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from blade_tune.choices import TargetSet
from blade_tune.selection.assumptions import broken
from blade_tune.selection.confirmation import Candidate
from blade_tune.selection.contrasts import Contrasts
from blade_tune.selection.groups import GroupContrast, interactions
from blade_tune.selection.out_of_bag import Expected
from blade_tune.selection.power import PairNoise, Plan
from blade_tune.selection.saturation import Course
from blade_tune.selection.scores import EvaluatedPart, Scores
from blade_tune.selection.statistics import Comparison, Floats
from blade_tune.storage.folder import TrialFolder
from blade_tune.study.stored import StoredStudy
from blade_tune.study.verdict import Verdict, below_untuned


def same_seeds(first_SU: Floats, second_SU: Floats) -> tuple[Floats, Floats]:
    """Return both arrays of gains with one row per seed.

    A model that no seed changes has a single row, which is repeated for each seed of the other model.
    """
    first, second = np.broadcast_arrays(first_SU, second_SU)
    return first, second


@dataclass(frozen=True)
class Told:
    """One model's winner under another target set, compared with itself and with a model that is told nothing."""

    model: str
    target_set: TargetSet
    words: str  # what the model is told
    scores: Scores
    # Minus the same runs' scores under the study's own protocol, with Holm's correction over all rows
    change: Comparison
    change_p: float
    # The best of the models that take no target set, None without one; minus its scores, and corrected likewise
    rival: str | None
    distance: Comparison | None
    distance_p: float | None

    @property
    def label(self) -> str:
        """Name of the row in a table."""
        return f"{self.model}, told {self.target_set}"


@dataclass(frozen=True)
class Contender:
    """One model of a comparison: its confirmed winner, how that scores, and what its search has cost."""

    label: str  # name of the model, or of the change of a re-tuned variant
    study: StoredStudy  # the model's search
    files: TrialFolder  # of the winner's first run
    winner: Candidate
    scores: Scores  # of the winner's runs
    takes_target_set: bool  # whether the model is told something of the item to predict
    # Number of newest interactions that the model sees, whose items are not ranked for it
    window: int
    loss: str  # name of the loss that the winner was trained with
    spent: Mapping[str, float]  # cost of the search, see `compare.spent`
    course: Course  # of the search: what it had reached by what it had spent
    moves: Mapping[str, float]  # how far changed inputs move the winner, see `moves.moves_of`
    num_rising: int  # runs of the winner whose last epoch was their best
    # What to expect for other users; None where ranks of the search or of runs were not available.
    expected: Expected | None
    # Metrics of the untuned baselines on the same rows
    baselines: Mapping[str, Mapping[str, float]]
    verdict: Verdict | None  # None where the reference baseline was not measured

    @property
    def owed(self) -> float:
        """How much of the winner's mean is owed to its having been chosen by it."""
        return self.expected.owed if self.expected else 0.0

    @property
    def target_set(self) -> TargetSet | None:
        """What the model is told of the item to predict, by the study's protocol; None if it takes no target set."""
        return self.study.definition.objective.target_set if self.takes_target_set else None

    @property
    def enqueued(self) -> list[str]:
        """The tags of the configurations that the search tried first."""
        return [entry.tag or "untagged" for entry in self.study.definition.enqueue]

    @property
    def hours_unit(self) -> str:
        """Which hours of the search are shown: those in which its budget is counted."""
        limit = self.study.limit
        return "cpu_hours" if limit and limit.unit == "cpu_hours" else "hours"

    @property
    def hours(self) -> float:
        """What the search has spent, in `hours_unit`."""
        return self.spent[self.hours_unit]

    def warning(self, metric: str) -> str:
        """Return a sentence on the untuned baselines that the model's mean is below; empty if it is below none."""
        baselines = {name: figures[metric] for name, figures in self.baselines.items()}
        mean = self.scores.estimate(metric).mean
        return below_untuned(self.label, mean, baselines)


@dataclass(frozen=True)
class Pair:
    """The difference between two models."""

    first: str
    second: str
    comparison: Comparison  # first minus second
    p_adjusted: float  # p-value with Holm's correction over the pairs of the comparison

    @property
    def swapped(self) -> "Pair":
        """The same pair the other way around."""
        found = self.comparison
        turned = Comparison(-found.difference, -found.high, -found.low, found.p_value)
        return Pair(self.second, self.first, turned, self.p_adjusted)


@dataclass(frozen=True)
class Comparisons:
    """The result of a comparison: all models, the best mean first, and the pairs that were compared."""

    metric: str
    part: EvaluatedPart
    entries: tuple[Contender, ...]
    pairs: tuple[Pair, ...]
    # Name of a group -> mask_U of the evaluated users in the group, see `groups.groups_of`
    groups: Mapping[str, NDArray[np.bool_]]
    told_words: str  # what models that take a target set are told
    protocol: str  # the line that says how the figures were made
    told: tuple[Told, ...] = ()  # models under other target sets than the study's
    # The one model of all pairs; None where all models are paired with all others.
    contrasts: Contrasts | None = None

    @property
    def reference(self) -> str:
        """The model that the others are compared with in tables: that of the contrasts, or else the best."""
        return self.contrasts.against if self.contrasts else self.entries[0].label

    @property
    def with_reference(self) -> Mapping[str, Pair]:
        """Each other model -> its difference from the reference."""
        pairs = {}
        for pair in self.pairs:
            if pair.first == self.reference:
                pairs[pair.second] = pair.swapped
            elif pair.second == self.reference:
                pairs[pair.first] = pair
        return pairs

    def difference(self, first: str, second: str) -> Comparison:
        """Return the difference of two models that were compared, the first minus the second.

        Raises:
            KeyError: they are no pair of this comparison.
        """
        pair = self.pair(first, second)
        if pair is None:
            raise KeyError(f"{first} and {second} were not compared.")
        return pair.comparison

    def pair(self, first: str, second: str) -> Pair | None:
        """Return the pair of two models, its difference the first minus the second; None if they were not compared."""
        for pair in self.pairs:
            if (pair.first, pair.second) == (first, second):
                return pair
            if (pair.second, pair.first) == (first, second):
                return pair.swapped
        return None

    @cached_property
    def group_contrasts(self) -> tuple[GroupContrast, ...]:
        """For each model but the reference, whether its difference from it differs between groups of users."""
        by_label = {entry.label: entry for entry in self.entries}
        reference = by_label.pop(self.reference)
        pairs = [
            (
                each.label,
                *same_seeds(each.scores.gains(self.metric), reference.scores.gains(self.metric)),
            )
            for each in by_label.values()
        ]
        return interactions(pairs, self.groups)

    @property
    def doubts(self) -> list[str]:
        """A sentence for each assumption of intervals over seeds that the models' scores break."""
        seeded = [entry for entry in self.entries if len(entry.scores.ranks_SU) > 1]
        if not seeded:
            return []
        scores_CS = np.array([entry.scores.metrics[self.metric] for entry in seeded])
        return broken(scores_CS, [entry.label for entry in seeded])

    @cached_property
    def plan(self) -> Plan:
        """The size of the comparison."""
        num_seeds, num_users = max(entry.scores.ranks_SU.shape for entry in self.entries)
        return Plan(num_users, num_seeds, len(self.pairs))

    @cached_property
    def noise(self) -> PairNoise:
        """The mean noise of the pairs that are compared."""
        gains = {entry.label: entry.scores.gains(self.metric) for entry in self.entries}
        return PairNoise.between((gains[pair.first], gains[pair.second]) for pair in self.pairs)

    @property
    def left_out(self) -> Mapping[str, str]:
        """The baselines that were not measured -> the reason."""
        return self.entries[0].study.baselines_left_out

    @property
    def warnings(self) -> list[str]:
        """A sentence for each model that is below an untuned baseline."""
        sentences = (entry.warning(self.metric) for entry in self.entries)
        return [sentence for sentence in sentences if sentence]

    @property
    def windows(self) -> list[int]:
        """The distinct window lengths of the models, the longest first."""
        return sorted({entry.window for entry in self.entries}, reverse=True)

    @property
    def baselines(self) -> Mapping[str, Mapping[str, float]]:
        """The metrics of each baseline on the same rows, by the name to show for it.

        Items in a model's window are not ranked, so that baselines differ from window to window. If the models have
        several windows, each baseline has an entry for each.
        """
        by_window = {entry.window: entry.baselines for entry in self.entries}
        shown: dict[str, Mapping[str, float]] = {}
        for window in self.windows:
            suffix = f", window {window}" if len(by_window) > 1 else ""
            for name, figures in by_window[window].items():
                shown[f"{name}, untuned{suffix}"] = figures
        return shown
