"""The result of a comparison: the models with their confirmed winners, the best first, and the pairs of models."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blade_tune.selection.confirmation import Candidate
from blade_tune.selection.contrasts import Contrasts
from blade_tune.selection.out_of_bag import Expected
from blade_tune.selection.scores import EvaluatedPart, Scores
from blade_tune.selection.statistics import Comparison
from blade_tune.storage.folder import TrialFolder
from blade_tune.study.stored import StoredStudy
from blade_tune.study.verdict import Verdict, below_untuned


@dataclass(frozen=True)
class Contender:
    """One model of a comparison: its confirmed winner, how that scores, and what its search has cost."""

    model: str
    study: StoredStudy  # the model's search
    files: TrialFolder  # of the winner's first run
    winner: Candidate
    scores: Scores  # of the winner's runs
    told_target_set: bool  # whether the model is told the behavior set of the item to predict
    # Number of newest interactions that the model sees, whose items are not ranked for it
    window: int
    loss: str  # name of the loss that the winner was trained with
    spent: Mapping[str, float]  # cost of the search, see `compare.spent`
    # What to expect for other users; None where ranks of the search or of runs were not available.
    expected: Expected | None
    # Metrics of the untuned baselines on the same rows
    baselines: Mapping[str, Mapping[str, float]]
    verdict: Verdict | None  # None where the reference baseline was not measured

    @property
    def owed(self) -> float:
        """How much of the winner's mean is owed to its having been chosen by it."""
        return self.expected.owed if self.expected else 0.0

    def warning(self, metric: str) -> str:
        """Return a sentence on the untuned baselines that the model's mean is below; empty if it is below none."""
        baselines = {name: figures[metric] for name, figures in self.baselines.items()}
        mean = self.scores.estimate(metric).mean
        return below_untuned(self.model, mean, baselines)


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
    # "head" and "tail" -> mask_U of the evaluated users in the group
    groups: Mapping[str, NDArray[np.bool_]]
    # The one model of all pairs; None where all models are paired with all others.
    contrasts: Contrasts | None = None

    @property
    def reference(self) -> str:
        """The model that the others are compared with in tables: that of the contrasts, or else the best."""
        return self.contrasts.against if self.contrasts else self.entries[0].model

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
